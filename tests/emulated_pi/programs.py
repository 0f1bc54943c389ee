"""What the host must have to emulate a device, and getting it where Debian's packages are to be had."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping

from tests.emulated_pi.boot import INTERPRETER
from tests.emulated_pi.failure import run_or_raise

_LINUX = (6, 7)
"""The first that has binfmt_misc in a user namespace."""

LAYER_PROGRAMS = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static"}
"""What it takes to make the layers: programs, and Debian's packages that have them."""
DEVICE_PROGRAMS = {
    **LAYER_PROGRAMS,
    str(INTERPRETER): "qemu-user-static",
    "/usr/sbin/sshd": "openssh-server",
    "scp": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
"""What it takes to run a device."""

BOOT_PROGRAMS = {
    **LAYER_PROGRAMS,
    "qemu-system-aarch64": "qemu-system-arm",
    "cpio": "cpio",
    "depmod": "kmod",
}
"""What it takes to boot a whole system."""


def why_not() -> str | None:
    """Why no device can be emulated here, in a few words; None if one can."""
    if platform.system() != "Linux" or os.getuid() != 0:
        return "needs Linux, and root there"
    if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < _LINUX:
        return f"needs Linux {_LINUX[0]}.{_LINUX[1]}, this is {platform.release()}"
    if not shutil.which("apt-get"):
        return "needs a Debian or Ubuntu"
    return None


def install_programs(programs: Mapping[str, str]) -> None:
    """Installs the packages of those programs that are missing. Raises `DeviceError`."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        run_or_raise("apt-get", "update", "--quiet=2")
        run_or_raise("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *missing)
