"""Programs that the host needs to emulate a device, and their installation from Debian's packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping

from tests.emulated_pi.boot import INTERPRETER
from tests.emulated_pi.failure import run_or_raise

_LINUX = (6, 7)
"""First version with binfmt_misc in a user namespace."""

LAYER_PROGRAMS = {"mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static"}
"""Programs that are needed to create the layers, with the Debian packages that contain them."""
DEVICE_PROGRAMS = {
    **LAYER_PROGRAMS,
    str(INTERPRETER): "qemu-user-static",
    "/usr/sbin/sshd": "openssh-server",
    "scp": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
"""Programs that are needed to run a device, with their packages."""

BOOT_PROGRAMS = {
    **LAYER_PROGRAMS,
    "qemu-system-aarch64": "qemu-system-arm",
    "cpio": "cpio",
    "depmod": "kmod",
}
"""Programs that are needed to boot a complete system, with their packages."""


def why_not() -> str | None:
    """Return the reason why no device can be emulated here; None if one can."""
    if platform.system() != "Linux" or os.getuid() != 0:
        return "needs Linux and root"
    if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < _LINUX:
        return f"needs Linux {_LINUX[0]}.{_LINUX[1]}, this is {platform.release()}"
    if not shutil.which("apt-get"):
        return "needs Debian or Ubuntu"
    return None


def install_programs(programs: Mapping[str, str]) -> None:
    """Install the packages of the programs that are missing. Raise `DeviceError` if that fails."""
    missing = sorted({package for program, package in programs.items() if not shutil.which(program)})
    if missing:
        run_or_raise("apt-get", "update", "--quiet=2")
        run_or_raise("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", *missing)
