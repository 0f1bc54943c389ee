"""Which outputs a run was told to have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn.core.errors import InputError
from edgecnn.core.settings.command_settings import LOG_KEEP, LOG_SIZE, UNCERTAIN, UNCERTAIN_SIZE
from edgecnn.runtime.region import Region


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What goes where beyond the terminal, as the command line has it; None for what is not wanted."""

    mqtt: str | None = None
    """Address of a broker, see `open_mqtt`."""
    mqtt_password: str | None = None
    home_assistant: bool = False
    log: Path | None = None
    log_size: str = LOG_SIZE
    log_keep: int = LOG_KEEP
    record: Path | None = None
    save_uncertain: Path | None = None
    uncertain: str = UNCERTAIN
    """When a model is unsure, see `open_uncertain`."""
    uncertain_size: str = UNCERTAIN_SIZE
    region: Region | None = None
    """The part of the picture that is classified, and therefore kept."""

    def __post_init__(self) -> None:
        if self.home_assistant and self.mqtt is None:
            raise InputError("--home-assistant needs the broker that Home Assistant listens to; add --mqtt mqtt://HOST")
