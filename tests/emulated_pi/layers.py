"""What lies under a device's card: Debian, wheels, installed packages. Made once, kept in a cache, only ever read.

A layer is a folder tree to be laid over another. Its name holds a hash of what it was made from, so a change of that
makes a new one. They take about 600 MB together and may be deleted while no device is on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.emulated_pi.failure import DeviceError, run_or_raise

SUITE = "bookworm"
PYTHON = (3, 11)
"""The suite's. The host's must be the same to compile for it."""

WHEELS_FOLDER = "/opt/wheels"
"""Where the device finds the wheels of the base install: `pip install --no-index --find-links /opt/wheels`."""

# Unpacked and never configured, which takes seconds where a real installation takes minutes of emulation; apt-get and
# dpkg are there to be found, not to be used. The libraries are what OpenCV's wheel for aarch64 links to.
_DEBIAN_PACKAGES = (
    *("apt", "base-files", "bash", "ca-certificates", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep"),
    *("gzip", "hostname", "libc-bin", "libgomp1", "libstdc++6", "login", "mawk", "ncurses-base", "passwd"),
    *("python3-venv", "sed", "sudo", "tar", "util-linux"),
    *("libgl1", "libglib2.0-0", "libsm6", "libx11-6", "libxcb1", "libxext6"),
)
_BOOT_PACKAGES = ("kmod", "linux-image-arm64", "mount", "systemd", "systemd-sysv", "udev")
_LEFT_OUT = ("usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "usr/lib/*/dri/*", "usr/lib/*/libLLVM*")
_PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in (17, 27, 28, 34)))


def default_cache() -> Path:
    """Where edgecnn has its cache too, by the same rule."""
    if chosen := os.environ.get("EDGECNN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecnn"


def debian_layer(cache: Path) -> Path:
    """Debian for arm64 with Python, its library compiled."""

    return _layer(
        cache, "debian", [SUITE, *_DEBIAN_PACKAGES, *_LEFT_OUT], lambda folder: _unpack_debian(folder, _DEBIAN_PACKAGES)
    )


def bootable_layer(cache: Path, module: str) -> Path:
    """The same with systemd and, in /boot, a kernel; of the kernel's modules only `module` and what that needs."""
    packages = (*_DEBIAN_PACKAGES, *_BOOT_PACKAGES)

    def make(folder: Path) -> None:
        _unpack_debian(folder, packages)
        (modules,) = (folder / "lib/modules").iterdir()
        run_or_raise("depmod", "-b", folder, modules.name)
        needed = run_or_raise("modprobe", "-d", folder, "-S", modules.name, "--show-depends", module)
        kept = {Path(line.split()[1]).name for line in needed.splitlines()}
        for file in modules.rglob("*.ko"):
            if file.name not in kept:
                file.unlink()
        run_or_raise("depmod", "-b", folder, modules.name)

    return _layer(cache, "bootable", [SUITE, *packages, *_LEFT_OUT, module], make)


def wheels_layer(cache: Path, lock: Path) -> Path:
    """The wheels that the lock file `lock` names for aarch64, at `WHEELS_FOLDER`."""

    def make(folder: Path) -> None:
        _pip("download", *_for_device(), "--require-hashes", "-r", lock, "--dest", folder / WHEELS_FOLDER[1:])

    return _layer(cache, "wheels", [lock.read_text()], make)


def packages_layer(cache: Path, lock: Path) -> Path:
    """The packages of `lock` as if installed with Debian's Python, for all of the device to import."""
    wheels = wheels_layer(cache, lock) / WHEELS_FOLDER[1:]
    where = "usr/local/lib/python3.11/dist-packages"

    def make(folder: Path) -> None:
        source = ("--no-index", "--find-links", wheels, "--require-hashes", "-r", lock)
        _pip("install", *_for_device(), *source, "--no-compile", "--target", folder / where)
        _compile(folder, where)

    return _layer(cache, "packages", [lock.read_text()], make)


def _unpack_debian(folder: Path, packages: Sequence[str]) -> None:
    leave_out = [f"--dpkgopt=path-exclude=/{pattern}" for pattern in _LEFT_OUT]
    include = f"--include={','.join(packages)}"
    run_or_raise("mmdebstrap", "--quiet", "--arch=arm64", "--variant=extract", *leave_out, include, SUITE, folder)
    run_or_raise("qemu-aarch64-static", folder / "sbin/ldconfig", "-r", folder)
    _compile(folder, "usr/lib/python3.11")


def _for_device() -> list[str]:
    platforms = [f"--platform={platform}_aarch64" for platform in _PLATFORMS]
    return ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", *platforms]


def _pip(*arguments: str | Path) -> None:
    run_or_raise(sys.executable, "-m", "pip", "--quiet", *arguments)


def _compile(root: Path, folder: str) -> None:
    """Byte code for what lies in `folder` of the device; emulated, a first import would take many times as long."""
    if sys.version_info[:2] != PYTHON:
        raise DeviceError(f"expected Python {PYTHON[0]}.{PYTHON[1]} as on the device, got {sys.version.split()[0]}")
    # Some packages bring files for other Pythons, which do not compile: no reason to do without the rest.
    options = ("-qq", "--invalidation-mode=unchecked-hash", "-s", root, "-p", "/")
    subprocess.run([sys.executable, "-m", "compileall", *options, root / folder], check=False)


def _layer(cache: Path, name: str, made_from: list[str], make: Callable[[Path], None]) -> Path:
    key = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:12]
    folder = cache / "emulated_pi" / f"{name}-{key}"
    with _lock(cache / "emulated_pi"):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Two runs that want the same layer make it once."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
