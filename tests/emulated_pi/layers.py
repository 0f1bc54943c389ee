"""Read-only layers below a device's card: Debian, wheels, installed packages. They are created once and cached.

A layer is a folder tree that is laid over another. Its name contains a hash of its inputs, so a changed input gives a
new layer. Together they take about 600 MB. They may be deleted while no device is on.
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
"""Python version of the suite. The host must have the same one to compile for it."""

WHEELS_FOLDER = "/opt/wheels"
"""Folder on the device with the wheels of the base install: `pip install --no-index --find-links /opt/wheels`."""

# The packages are unpacked but never configured, which takes seconds instead of minutes of emulation. apt-get and dpkg
# must exist, but are not used. The libraries are those that OpenCV's wheel for aarch64 links to.
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
    """Return edgecnn's cache folder, by the same rule as edgecnn."""
    if chosen := os.environ.get("EDGECNN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecnn"


def debian_layer(cache: Path) -> Path:
    """Return Debian for arm64 with Python, whose library is compiled to byte code."""
    return _layer(
        cache, "debian", [SUITE, *_DEBIAN_PACKAGES, *_LEFT_OUT], lambda folder: _unpack_debian(folder, _DEBIAN_PACKAGES)
    )


def bootable_layer(cache: Path, module: str) -> Path:
    """Return Debian with systemd, a kernel in /boot, and of the kernel's modules only `module` and its dependencies."""
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
    """Return the wheels for aarch64 that a lock file names, in `WHEELS_FOLDER`."""

    def make(folder: Path) -> None:
        _pip("download", *_for_device(), "--require-hashes", "-r", lock, "--dest", folder / WHEELS_FOLDER[1:])

    return _layer(cache, "wheels", [lock.read_text()], make)


def packages_layer(cache: Path, lock: Path) -> Path:
    """Return the packages of a lock file, installed for Debian's Python."""
    wheels = wheels_layer(cache, lock) / WHEELS_FOLDER[1:]
    site_packages = "usr/local/lib/python3.11/dist-packages"

    def make(folder: Path) -> None:
        source = ("--no-index", "--find-links", wheels, "--require-hashes", "-r", lock)
        _pip("install", *_for_device(), *source, "--no-compile", "--target", folder / site_packages)
        _compile(folder, site_packages)

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
    """Compile the device's modules in `folder` to byte code, since first imports are very slow under emulation."""
    if sys.version_info[:2] != PYTHON:
        raise DeviceError(f"expected Python {PYTHON[0]}.{PYTHON[1]} as on the device, got {sys.version.split()[0]}")
    # Some packages contain files for other Python versions, which do not compile. That is no reason to skip the others.
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
    """Lock the cache, so that concurrent runs create a layer only once."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
