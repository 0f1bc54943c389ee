"""Check of accelerators and the libraries that run models on them."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.board import read_text
from edgecnn.doctor.finding import Finding
from edgecnn.runtime.inference.delegate import EDGE_TPU_LIBRARY, KNOWN_LIBRARIES

_CORAL_USB = frozenset({("1a6e", "089a"), ("18d1", "9302")})
"""Vendor and product numbers of Coral's USB accelerator, before and after its firmware is loaded."""
_LIBRARY_FOLDERS = ("usr/lib", "usr/local/lib", "usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu")
"""Folders that the system's loader searches, on Debian."""


def check_delegates(root: Path) -> Finding:
    """List the installed libraries that `--delegate auto` tries, and find a Coral Edge TPU without its library.

    Args:
        root: Folder that contains `/sys`, `/dev` and the libraries.

    Returns:
        The finding.
    """
    installed = [Path(library).name for library in KNOWN_LIBRARIES if _is_installed(root, library)]
    coral = _has_coral(root)
    if coral and EDGE_TPU_LIBRARY not in installed:
        fix = "install libedgetpu1-std from Coral's repository: https://coral.ai/docs/accelerator/get-started"
        return Finding("delegates", "warning", f"Edge TPU found, but {EDGE_TPU_LIBRARY} is missing", fix)
    if not installed:
        return Finding("delegates", "ok", "none: the CPU runs the model")
    unused = ", but no Edge TPU is plugged in" if EDGE_TPU_LIBRARY in installed and not coral else ""
    return Finding("delegates", "ok", ", ".join(installed) + unused)


def _is_installed(root: Path, library: str) -> bool:
    """Look for an entry of `KNOWN_LIBRARIES`, which is a path or a name for the system's loader."""
    paths = [library[1:]] if library.startswith("/") else [f"{folder}/{library}" for folder in _LIBRARY_FOLDERS]
    return any((root / path).exists() for path in paths)


def _has_coral(root: Path) -> bool:
    devices = root.glob("sys/bus/usb/devices/*/idVendor")
    plugged = ((read_text(path), read_text(path.with_name("idProduct"))) for path in devices)
    # The PCIe version has its own driver, which creates this device.
    return (root / "dev/apex_0").exists() or any(pair in _CORAL_USB for pair in plugged)
