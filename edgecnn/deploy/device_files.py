"""Names that this machine and a device must agree on, and the files that are sent with every deployment."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from edgecnn.core.errors import InputError

DEFAULT_NAME = "classifier"
"""Name of the service if none is given."""
START_S = 60
"""Seconds that a service may take until its first result; the systemd unit allows no more."""
EDGECNN = "/opt/edgecnn/bin/edgecnn"
"""Path of the command that install.sh installs."""

_PACKAGED = Path(__file__).parent.parent / "_devices"
"""The folder `devices` in an installed wheel."""
_CHECKOUT = Path(__file__).parent.parent.parent / "devices"
"""The same folder in a checkout."""

# A name becomes part of paths, of the name of a unit and of shell commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def checked_name(name: str) -> str:
    """Check the name of a service.

    Args:
        name: Name given by the user.

    Returns:
        The same name.

    Raises:
        InputError: The name is too long or contains other characters.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"expected a name of up to 64 letters, digits, '-', '_' and '.', such as {DEFAULT_NAME}, got {name!r:.80}"
        )
    return name


def read_device_script() -> bytes:
    """Return the shell script that does the device's part of a deployment.

    Returns:
        The content of device.sh.
    """
    return files("edgecnn.deploy").joinpath("device.sh").read_bytes()


def install_script() -> bytes:
    """Return the shell script that installs edgecnn on a device.

    Returns:
        The content of install.sh.
    """
    return (_devices() / "raspberry_pi" / "install.sh").read_bytes()


def unit_file() -> bytes:
    """Return the systemd unit of the services.

    Returns:
        The content of edgecnn@.service.
    """
    return (_devices() / "raspberry_pi" / "edgecnn@.service").read_bytes()


def _devices() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
