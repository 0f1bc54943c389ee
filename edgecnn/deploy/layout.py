"""Names that a device and this side must agree on, and the files that go there with every deployment."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from edgecnn.core.errors import InputError

DEFAULT_NAME = "classifier"
START_S = 60
"""How long a service may take to its first result; the unit allows no more."""
EDGECNN = "/opt/edgecnn/bin/edgecnn"
"""Where install.sh puts the command."""

_PACKAGED = Path(__file__).parent.parent / "_devices"
"""Where the wheel puts the folder `devices`."""
_CHECKOUT = Path(__file__).parent.parent.parent / "devices"

# It becomes part of paths, of a unit's name and of a shell's words.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def checked_name(name: str) -> str:
    """`name`, if a service can be called so. Raises `InputError`."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"expected a name of up to 64 letters, digits, '-', '_' and '.', such as {DEFAULT_NAME}, got {name!r:.80}"
        )
    return name


def device_script() -> bytes:
    """The shell script that does a device's part."""
    return files("edgecnn.deploy").joinpath("device.sh").read_bytes()


def install_script() -> bytes:
    """The shell script that installs edgecnn on a device."""
    return (_devices() / "raspberry_pi" / "install.sh").read_bytes()


def unit_file() -> bytes:
    """The systemd unit."""
    return (_devices() / "raspberry_pi" / "edgecnn@.service").read_bytes()


def _devices() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
