"""A complete boot: Debian's kernel for arm64 and systemd in a virtual machine, with a test camera at /dev/video0.

Everything is real here that the emulated device only has stand-ins for: units with their sandboxing, limits and
watchdog, the journal, V4L2. A boot takes more than a minute, so the system runs one script and switches itself off.
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
"""The root file system is an archive in memory and unpacked there."""

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
    # Only the script uses the console.
    f"{_UNITS}/serial-getty@ttyAMA0.service": "/dev/null",
}


def run_booted(script: str, files: Path, layers: list[Path], folder: Path, *, cache: Path, timeout_s: float) -> str:
    """Boot a system and run a script there, as root.

    Args:
        script: Script for `sh`.
        files: Folder tree that is laid over the root and the layers.
        layers: Folder trees that are laid over the root.
        folder: Empty folder for the image of the system.
        cache: Folder for layers that are kept.
        timeout_s: Time limit in seconds.

    Returns:
        Output of the script.

    Raises:
        DeviceError: The script did not end in time.
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
    console = _boot(kernel, image, timeout_s)
    before, begin, rest = console.partition(_BEGIN)
    output, end, _ = rest.partition(_END)
    if not begin or not end:
        raise DeviceError(f"the script did not end; the last output was: {(output or before).strip()[-500:]}")
    return output


def _append(layer: Path, image: Path) -> None:
    """Append an archive to the image; the kernel unpacks them in order, and later files replace earlier ones."""
    pack = f"find . -path ./boot -prune -o -print0 | cpio --null --quiet -o -H newc -R 0:0 >> '{image}'"
    run_or_raise("sh", "-c", f"cd '{layer}' && {pack}")


def _boot(kernel: Path, image: Path, timeout_s: float) -> str:
    """Boot the system, wait until it is off, and return the output on its console."""
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
