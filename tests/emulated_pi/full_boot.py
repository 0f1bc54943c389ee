"""A whole boot: Debian's kernel for arm64 and systemd in a virtual machine, the kernel's test camera at /dev/video0.

What the emulated device has only stand-ins for is real here: units with their sandboxing, limits and watchdog, the
journal, V4L2. A boot takes a minute and more, so it runs one script and switches itself off.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.emulated_pi.card import ACCOUNTS, HOSTNAME
from tests.emulated_pi.failure import DeviceError, run_or_raise
from tests.emulated_pi.layers import bootable_layer
from tests.emulated_pi.programs import BOOT_PROGRAMS, install_programs

CAMERA_MODULE = "vivid"
_BEGIN, _END = "=== script begins ===", "=== script ended ==="
_MEMORY_MIB = 3072
"""The root is an archive in memory, and unpacked there."""

_UNITS = "etc/systemd/system"
_FILES = {
    **ACCOUNTS,
    "etc/hostname": f"{HOSTNAME}\n",
    "etc/machine-id": "",
    "etc/modules-load.d/camera.conf": f"{CAMERA_MODULE}\n",
    f"{_UNITS}/script.service": f"""\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyAMA0
ExecStart=/bin/sh -c 'echo "{_BEGIN}"; sh /script.sh; echo "{_END}"; systemctl poweroff --force --force'
""",
}
_LINKS = {
    "init": "sbin/init",
    f"{_UNITS}/multi-user.target.wants/script.service": "../script.service",
    # The script has the console for itself.
    f"{_UNITS}/serial-getty@ttyAMA0.service": "/dev/null",
}


def run_booted(script: str, files: Path, layers: list[Path], folder: Path, cache: Path, *, timeout_s: float) -> str:
    """What `script` prints, run by root's `sh` on a system that has booted.

    `layers`, and over them the tree `files`, are laid over its root. `folder`, which must be empty, is for the system's
    image. Raises `DeviceError` if the script did not come to its end in time.
    """
    install_programs(BOOT_PROGRAMS)
    bootable = bootable_layer(cache, CAMERA_MODULE)
    own = folder / "own"
    for name, text in (_FILES | {"script.sh": script}).items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(text)
    for name, target in _LINKS.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(target)
    image = folder / "root.cpio"
    for layer in (bootable, *layers, own, files):
        _append(layer, image)
    (kernel,) = bootable.glob("boot/vmlinuz-*")
    said = _boot(kernel, image, timeout_s)
    begun, begin, rest = said.partition(_BEGIN)
    answer, end, _ = rest.partition(_END)
    if not begin or not end:
        raise DeviceError(f"the script did not end, the system said last: {(answer or begun).strip()[-500:]}")
    return answer


def _append(layer: Path, image: Path) -> None:
    """The kernel unpacks one archive after the other, a later file over an earlier."""
    pack = f"find . -path ./boot -prune -o -print0 | cpio --null --quiet -o -H newc -R 0:0 >> '{image}'"
    run_or_raise("sh", "-c", f"cd '{layer}' && {pack}")


def _boot(kernel: Path, image: Path, timeout_s: float) -> str:
    """What the system writes to its console until it is off."""
    machine = ("-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", str(_MEMORY_MIB), "-nic", "none", "-nographic")
    arguments = "console=ttyAMA0 loglevel=0 systemd.show_status=0 systemd.log_level=err"
    command = ["qemu-system-aarch64", *machine, "-no-reboot", "-kernel", str(kernel), "-initrd", str(image)]
    try:
        result = subprocess.run(
            [*command, "-append", arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as expired:
        return (expired.stdout or b"").decode(errors="replace")
    return result.stdout.decode(errors="replace")
