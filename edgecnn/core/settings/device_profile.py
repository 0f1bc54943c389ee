"""Device profiles in TOML: facts about a kind of board that are known before anything is measured on it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from edgecnn.core.errors import InputError, UnknownName, first_problem
from edgecnn.core.precision import Precision
from edgecnn.core.settings.base import Settings
from edgecnn.core.toml_file import read_toml

_PACKAGED = Path(__file__).parents[2] / "_devices"
"""Folder of the profiles in the wheel."""
_CHECKOUT = Path(__file__).parents[3] / "devices"
"""Folder of the profiles in a checkout."""


class TemperatureLimits(Settings):
    """Temperatures of the processor in degrees Celsius."""

    soft_celsius: float | None = None
    """From here the firmware lowers the clock a little; None if the board has no such limit."""
    throttle_celsius: float
    """From here the firmware lowers the clock step by step."""
    limit_celsius: float
    """The firmware keeps the temperature below this limit."""


class PublishedLatency(Settings):
    """A latency that somebody else published, for orientation: another program, another system, another day."""

    model: str
    """Name of the network."""
    precision: Precision | None = None
    """Precision of the model; None if the source does not state it."""
    latency_ms: float = Field(gt=0)
    """Latency of one frame in milliseconds."""
    conditions: str
    """Program, threads, system and date, as far as the source states them."""
    source: str = Field(pattern="^https://")
    """Address of the publication."""


class DeviceProfile(Settings):
    """Facts about a kind of device."""

    name: str
    """Name of the profile, the same as that of its file."""
    title: str
    """Name of the device for people."""
    board_names: tuple[str, ...] = ()
    """Prefixes of the names that boards of this kind have in the device tree."""
    architecture: str
    """Architecture as `uname -m` prints it on a 64-bit system."""
    processor: str
    """Name of the processor."""
    cores: int = Field(ge=1)
    """Number of cores."""
    threads: int = Field(ge=1)
    """Number of interpreter threads to start with; `edgecnn benchmark --threads` finds the best one for a model."""
    memory_mb: tuple[int, ...] = Field(min_length=1)
    """Memory sizes that the device is sold with, in MiB."""
    source: str | None = None
    """Default of `edgecnn run --source` on this device; None if its camera cannot be opened that way."""
    delegate: str | None = None
    """Delegate library that runs models instead of the processor; None if the board has no useful one."""
    temperature: TemperatureLimits | None = None
    """Temperature limits; None if they are not known."""
    published: tuple[PublishedLatency, ...] = ()
    """Latencies published by others."""


def profile_files() -> tuple[Path, ...]:
    """Return the profile files that edgecnn includes.

    Returns:
        TOML files, sorted by name.
    """
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return tuple(sorted(folder.glob("*.toml")))


def read_profiles() -> tuple[DeviceProfile, ...]:
    """Read the profiles that edgecnn includes.

    Returns:
        Profiles, sorted by name.
    """
    return tuple(read_profile(path) for path in profile_files())


def find_profile(name: str) -> DeviceProfile:
    """Read the profile of a name.

    Args:
        name: Name of a profile, such as `raspberry_pi_4`.

    Returns:
        The profile.

    Raises:
        UnknownName: There is no such profile; the error suggests the nearest name.
    """
    known = {path.stem: path for path in profile_files()}
    if name not in known:
        raise UnknownName("device", name, known)
    return read_profile(known[name])


def profile_of_board(board: str) -> DeviceProfile | None:
    """Return the profile of a board.

    Args:
        board: Name in the device tree, such as `Raspberry Pi 4 Model B Rev 1.4`.

    Returns:
        The profile, or None if no profile is for this board.
    """
    return next((profile for profile in read_profiles() if board.startswith(profile.board_names)), None)


def read_profile(path: Path) -> DeviceProfile:
    """Read a profile.

    Args:
        path: TOML file.

    Returns:
        The profile.

    Raises:
        InputError: The file is missing, not TOML, or contains an invalid value.
        UnknownName: The file contains an unknown key; the error suggests the nearest one.
    """
    document = read_toml(path, "device profile", hint="; edgecnn devices lists the included ones")
    for key in document:
        if key not in DeviceProfile.model_fields:
            raise UnknownName(f"key in {path.name}", key, DeviceProfile.model_fields)
    try:
        return DeviceProfile.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
