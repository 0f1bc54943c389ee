"""Outputs requested for a run, and the parsing of their size limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field, TypeAdapter

from edgecnn.core.errors import InputError
from edgecnn.core.settings.command_settings import LOG_KEEP, LOG_SIZE, UNCERTAIN, UNCERTAIN_SIZE
from edgecnn.runtime.region import Region

# `ByteSize` ignores what follows a number: "1,5MB" would be one byte, "5.MB" five.
_SIZE_TEXT = re.compile(r"\s*(\d*\.)?\d+\s*[A-Za-z]+\s*", re.ASCII)
_SIZE: TypeAdapter[int] = TypeAdapter(Annotated[ByteSize, Field(ge=1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """Outputs of a run beyond the terminal, with values as given on the command line; None disables an output.

    Raises:
        InputError: If Home Assistant is requested without a broker.
    """

    mqtt: str | None = None
    """Address of a broker, see `open_mqtt`."""
    mqtt_password: str | None = None
    """Password for the broker; overrides the one in the address."""
    home_assistant: bool = False
    """Announce the cameras to Home Assistant."""
    log: Path | None = None
    """File of the log, see `open_log`."""
    log_size: str = LOG_SIZE
    """Size at which the log is rotated, see `parse_size`."""
    log_keep: int = LOG_KEEP
    """Number of rotated logs to keep."""
    record: Path | None = None
    """Video file, see `open_recording`."""
    save_uncertain: Path | None = None
    """Folder for pictures that the model is unsure of."""
    uncertain: str = UNCERTAIN
    """Criterion for being unsure, see `open_uncertain`."""
    uncertain_size: str = UNCERTAIN_SIZE
    """Total size of those pictures, see `parse_size`."""
    region: Region | None = None
    """Part of the picture that is classified, and therefore saved."""

    def __post_init__(self) -> None:
        if self.home_assistant and self.mqtt is None:
            raise InputError("--home-assistant needs the broker that Home Assistant listens to; add --mqtt mqtt://HOST")


def parse_size(text: str) -> int:
    """Parse a number with a unit, such as 500MB or 1.5 GiB.

    Args:
        text: Size; MB and the like are powers of 1000, MiB and the like of 1024, in any case.

    Returns:
        Number of bytes, rounded down.

    Raises:
        InputError: If the text is malformed or means less than one byte.
    """
    try:
        if not _SIZE_TEXT.fullmatch(text):
            raise ValueError
        return _SIZE.validate_python(text)
    except (ValueError, OverflowError):
        raise InputError(
            f"expected a size of at least one byte in B, kB, MB, GB, KiB, MiB or GiB, got {text!r}; "
            "use for example 500MB or 1.5GiB"
        ) from None
