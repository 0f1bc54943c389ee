"""Device profiles: what is known of a kind of board before anything was measured on it, in TOML."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from edgecnn.core.errors import InputError, UnknownName, first_problem
from edgecnn.core.precision import Precision
from edgecnn.core.settings.base import Settings
from edgecnn.core.toml_file import read_toml

_PACKAGED = Path(__file__).parents[2] / "_devices"
"""Where the wheel puts them."""
_CHECKOUT = Path(__file__).parents[3] / "devices"


class TemperatureLimits(Settings):
    """Degrees Celsius of the processor."""

    soft_celsius: float | None = None
    """From here on the firmware lowers the clock a little; None where the board has no such limit."""
    throttle_celsius: float
    """From here on it lowers the clock step by step."""
    limit_celsius: float
    """The firmware keeps it below."""


class PublishedLatency(Settings):
    """What somebody else measured, for orientation: another program, another system, another day."""

    model: str
    precision: Precision | None = None
    """None where the source does not say."""
    latency_ms: float = Field(gt=0)
    conditions: str
    """Program, threads, system and date, as far as the source tells."""
    source: str = Field(pattern="^https://")


class DeviceProfile(Settings):
    """A kind of device."""

    name: str
    """That of the file."""
    title: str
    board_names: tuple[str, ...] = ()
    """How names in the device tree begin on boards of this kind."""
    architecture: str
    """As `uname -m` prints it under a 64-bit system."""
    processor: str
    cores: int = Field(ge=1)
    threads: int = Field(ge=1)
    """To begin with; `edgecnn benchmark --threads` tells what suits a model."""
    memory_mb: tuple[int, ...] = Field(min_length=1)
    """The sizes that the device is sold with, in MiB."""
    source: str | None = None
    """What `edgecnn run --source` is given where nothing else is said; None where the camera is not reached so."""
    delegate: str | None = None
    """A library that runs models in place of the processor; None where the board brings none of use."""
    temperature: TemperatureLimits | None = None
    published: tuple[PublishedLatency, ...] = ()


def profile_files() -> tuple[Path, ...]:
    """The TOML files that edgecnn brings, sorted by name."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return tuple(sorted(folder.glob("*.toml")))


def read_profiles() -> tuple[DeviceProfile, ...]:
    """The profiles that edgecnn brings, sorted by name."""
    return tuple(read_profile(path) for path in profile_files())


def find_profile(name: str) -> DeviceProfile:
    """The profile of that name. Raises `UnknownName`, with the nearest one."""
    known = {path.stem: path for path in profile_files()}
    if name not in known:
        raise UnknownName("device", name, known)
    return read_profile(known[name])


def profile_of_board(board: str) -> DeviceProfile | None:
    """The profile of a board by its name in the device tree, such as `Raspberry Pi 4 Model B Rev 1.4`."""
    return next((profile for profile in read_profiles() if board.startswith(profile.board_names)), None)


def read_profile(path: Path) -> DeviceProfile:
    """Reads a profile. Raises `InputError`; an unknown key is one, with the nearest name."""
    document = read_toml(path, "device profile", hint="; edgecnn devices lists those that edgecnn brings")
    for key in document:
        if key not in DeviceProfile.model_fields:
            raise UnknownName(f"key in {path.name}", key, DeviceProfile.model_fields)
    try:
        return DeviceProfile.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
