"""The check of accelerators, and of the libraries that run models on them."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.board import read_text
from edgecnn.doctor.finding import Finding
from edgecnn.runtime.inference.delegate import EDGE_TPU_LIBRARY, KNOWN_LIBRARIES

_CORAL_USB = frozenset({("1a6e", "089a"), ("18d1", "9302")})
"""Vendor and product of Coral's USB accelerator, before and after its firmware is loaded."""
_LIBRARY_FOLDERS = ("usr/lib", "usr/local/lib", "usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu")
"""Where the system's loader looks, on Debian."""


def check_delegates(root: Path) -> Finding:
    """Which of the libraries that `--delegate auto` tries are installed, and whether a Coral Edge TPU lacks its own."""
    installed = [Path(library).name for library in KNOWN_LIBRARIES if _is_installed(root, library)]
    coral = _has_coral(root)
    if coral and EDGE_TPU_LIBRARY not in installed:
        fix = "install libedgetpu1-std from Coral's repository: https://coral.ai/docs/accelerator/get-started"
        return Finding("delegates", "warning", f"an Edge TPU without {EDGE_TPU_LIBRARY}", fix)
    if not installed:
        return Finding("delegates", "ok", "none: the processor runs the model")
    missing = ", no Edge TPU is plugged in" if EDGE_TPU_LIBRARY in installed and not coral else ""
    return Finding("delegates", "ok", ", ".join(installed) + missing)


def _is_installed(root: Path, library: str) -> bool:
    """`library` as `KNOWN_LIBRARIES` has it: a path, or a name for the system's loader."""
    places = [library[1:]] if library.startswith("/") else [f"{folder}/{library}" for folder in _LIBRARY_FOLDERS]
    return any((root / place).exists() for place in places)


def _has_coral(root: Path) -> bool:
    devices = root.glob("sys/bus/usb/devices/*/idVendor")
    plugged = ((read_text(path), read_text(path.with_name("idProduct"))) for path in devices)
    # The one on PCIe has a driver of its own.
    return (root / "dev/apex_0").exists() or any(pair in _CORAL_USB for pair in plugged)
