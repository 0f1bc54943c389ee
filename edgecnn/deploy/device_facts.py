"""Facts about a device, which are checked before anything is changed on it."""

from __future__ import annotations

from typing import NamedTuple

from edgecnn.core.errors import DeviceError
from edgecnn.core.settings.device_profile import DeviceProfile, profile_of_board
from edgecnn.deploy.device_script import run_script
from edgecnn.deploy.ssh import Connection

_MACHINES = ("aarch64", "x86_64")
_PYTHON = (3, 11)


class Facts(NamedTuple):
    """The state of a device; a string is empty if the device lacks the item."""

    machine: str
    """Architecture of the kernel, from `uname -m`."""
    bits: int
    """Word size of its programs, which may be smaller than the kernel's."""
    board: str
    """Name of the board, from the device tree."""
    python: str
    """Version of Python, as `3.11`."""
    edgecnn: str
    """Installed version."""
    free_bytes: int
    """Free space on the disk of `/var/lib`."""


def examine(connection: Connection) -> Facts:
    """Query a device, and check that edgecnn can run on it.

    Args:
        connection: Connection to the device.

    Returns:
        The facts.

    Raises:
        DeviceError: The device cannot be queried, or edgecnn cannot run on it.
    """
    answers = dict(line.partition("=")[::2] for line in run_script(connection, ["examine"]).splitlines())
    facts = Facts(
        machine=answers["machine"],
        bits=int(answers["bits"]),
        board=answers["board"],
        python=answers["python"],
        edgecnn=answers["edgecnn"],
        free_bytes=int(answers["free_bytes"]),
    )
    if facts.machine not in _MACHINES or facts.bits < 64:
        raise DeviceError(
            f"{connection.address}: expected a 64-bit system ({' or '.join(_MACHINES)}), got {facts.machine} with"
            f" {facts.bits}-bit programs: write Raspberry Pi OS (64-bit) to the card of a Zero 2 W, 3, 4 or 5"
        )
    # If Python is missing, install.sh installs it.
    if facts.python and tuple(map(int, facts.python.split("."))) < _PYTHON:
        raise DeviceError(
            f"{connection.address}: expected Python {_PYTHON[0]}.{_PYTHON[1]} or newer, got {facts.python}: write"
            " Raspberry Pi OS 12 (Bookworm) or newer to the card"
        )
    return facts


def profile_for(facts: Facts, given: DeviceProfile | None, connection: Connection) -> DeviceProfile | None:
    """Choose the device profile.

    Args:
        facts: Facts about the device.
        given: Profile that the user chose; None to choose by the name of the board.
        connection: Connection to the device, for the error message.

    Returns:
        None if no profile is given or matches the board.

    Raises:
        DeviceError: The given profile is for another architecture.
    """
    if given and given.architecture != facts.machine:
        raise DeviceError(
            f"{connection.address}: the profile {given.name} is for {given.architecture}, this device has"
            f" {facts.machine}: choose another --profile, or remove it"
        )
    return given or (profile_of_board(facts.board) if facts.board else None)
