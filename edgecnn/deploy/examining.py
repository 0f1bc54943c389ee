"""What a device is, before anything is done to it."""

from __future__ import annotations

from typing import NamedTuple

from edgecnn.core.errors import DeviceError
from edgecnn.core.settings.device_profile import DeviceProfile, profile_of_board
from edgecnn.deploy.script import run_script
from edgecnn.deploy.ssh import Connection

_MACHINES = ("aarch64", "x86_64")
_PYTHON = (3, 11)


class Facts(NamedTuple):
    """A device as it is found; empty strings for what it does not have."""

    machine: str
    """As `uname -m` has it: the kernel's."""
    bits: int
    """Of its programs, which may be fewer than the kernel's."""
    board: str
    python: str
    edgecnn: str
    """The version that is installed."""
    free_bytes: int


def examine(connection: Connection) -> Facts:
    """Asks a device. Raises `DeviceError`; one that edgecnn cannot run on is a reason."""
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
    # Where there is none, install.sh installs it.
    if facts.python and tuple(map(int, facts.python.split("."))) < _PYTHON:
        raise DeviceError(
            f"{connection.address}: expected Python {_PYTHON[0]}.{_PYTHON[1]} or newer, got {facts.python}: write"
            " Raspberry Pi OS 12 (Bookworm) or newer to the card"
        )
    return facts


def profile_for(facts: Facts, given: DeviceProfile | None, connection: Connection) -> DeviceProfile | None:
    """The profile that was given, else that of the board. Raises `DeviceError` for one of another architecture."""
    if given and given.architecture != facts.machine:
        raise DeviceError(
            f"{connection.address}: {given.name} is a device with {given.architecture}, this one has {facts.machine}:"
            " choose another --profile, or give none"
        )
    return given or (profile_of_board(facts.board) if facts.board else None)
