"""Program that switches a device on: `python boot.py FOLDER [--stays]`, as root. It runs as long as the device is on.

Everything happens in separate namespaces, so that the host sees neither mounts nor a changed binfmt_misc, and all of it
is gone when the first process of the device is killed:

    /run/card   the file `card.img` as a file system: everything that the device writes, except its /run and /tmp
    /run/root   the device's root: the card over the layers; emulated programs run in it
    PID 1       an sshd of the host, which uses the device's accounts and confines every session to /run/root

A user namespace provides binfmt_misc for these processes only, including set-user-ID programs, so that a real `sudo`
works. Root on the device has no rights over the host's clock, devices or modules. Needs Linux 6.7.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

INTERPRETER = Path("/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
CARD, ROOT, LAYERS = Path("/run/card"), Path("/run/root"), Path("/run/layers")

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
_PR_SET_PDEATHSIG = 1

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd"} | {
    name: f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))
}

# ELF, 64 bits, little-endian, an executable or a library, for machine 183. P keeps argv[0]. F opens the interpreter
# now, so that it need not be on the device. C respects set-user-ID.
_BINFMT = (
    r":qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    f":{INTERPRETER}:OPFC"
)

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "device.json").read_text())
    if "--stays" not in sys.argv:
        _die_with_parent()
    _unshare(_CLONE_NEWNS)
    _mount("--make-rprivate", "/")
    _mount_root(folder, settings["layers"])
    _unshare_mapped(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWUTS | _CLONE_NEWIPC)
    init = os.fork()
    if init == 0:
        _become_init(folder, settings["hostname"])
    (folder / "init.new").write_text(f"{init} {os.readlink('/proc/self/ns/mnt')}")
    (folder / "init.new").rename(folder / "init")
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def _mount_root(folder: Path, layers: list[str]) -> None:
    """Mount everything that needs the host's root: the card's loop device, device nodes, and the root of the device."""
    _mount_new("tmpfs", Path("/run"), "mode=755")
    for path in (CARD, ROOT, LAYERS, Path("/run/sshd")):
        path.mkdir()
    _mount("-o", "loop", folder / "card.img", CARD)
    for name in ("upper", "work"):
        (CARD / name).mkdir(exist_ok=True)
    for index, layer in enumerate(layers):
        (LAYERS / str(index)).mkdir()
        _mount("--bind", layer, LAYERS / str(index))
    # Bound to short names, since a path in these options must not contain a colon or a comma.
    lower = ":".join(str(LAYERS / str(index)) for index in range(len(layers)))
    _mount_new("overlay", ROOT, f"lowerdir={lower},upperdir={CARD / 'upper'},workdir={CARD / 'work'}")
    _mount_new("tmpfs", ROOT / "run", "mode=755")
    _mount_new("tmpfs", ROOT / "tmp", "mode=1777")
    _make_devices(ROOT / "dev")
    for name in ("passwd", "group", "shadow"):
        _mount("--bind", ROOT / "etc" / name, f"/etc/{name}")


def _make_devices(dev: Path) -> None:
    _mount_new("tmpfs", dev, "mode=755")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    (dev / "shm").mkdir()
    (dev / "shm").chmod(0o1777)


def _become_init(folder: Path, hostname: str) -> None:
    """Act as PID 1: mount the file systems of its namespaces, start the services, and become sshd."""
    _die_with_parent()
    Path("/proc/sys/kernel/hostname").write_text(hostname)
    _mount_new("proc", ROOT / "proc", "")
    _mount_new("devpts", ROOT / "dev/pts", "newinstance,ptmxmode=0666,mode=620,gid=5")
    # sshd runs outside the device's root, but must use the same terminals.
    _mount("--bind", ROOT / "dev/pts", "/dev/pts")
    _mount_new("binfmt_misc", Path("/proc/sys/fs/binfmt_misc"), "")
    Path("/proc/sys/fs/binfmt_misc/register").write_text(_BINFMT)
    environment = dict(line.split("=", 1) for line in (ROOT / "etc/environment").read_text().splitlines())
    start_services = ["/usr/sbin/chroot", str(ROOT), "/usr/local/bin/systemctl", "default"]
    subprocess.Popen(start_services, env=environment | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    os.execv("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-f", f"{folder}/sshd_config", "-E", f"{folder}/sshd.log"])


def _unshare_mapped(flags: int) -> None:
    """Enter new namespaces in which the same numbers stand for the same users.

    The mapping must be written by a process with the host's rights, and after this process has entered. So a forked
    process waits for that moment.
    """
    entered, entered_end = os.pipe()
    process = os.getpid()
    writer = os.fork()
    if writer == 0:
        os.close(entered_end)
        if not os.read(entered, 1):
            os._exit(1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process}/{name}").write_text("0 0 65536")
        os._exit(0)
    _unshare(flags)
    os.write(entered_end, b"x")
    if os.waitpid(writer, 0)[1]:
        sys.exit("could not map the users of the device")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        error = ctypes.get_errno()
        sys.exit(f"cannot enter new namespaces: {os.strerror(error)}")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _mount_new(kind: str, target: Path, options: str) -> None:
    _mount("-t", kind, *(["-o", options] if options else []), kind, target)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
