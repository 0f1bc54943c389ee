"""`dataset.json`: what a folder of imported photos says of where they are from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

NOTE_FILE = "dataset.json"
NOTE_VERSION: Final = 1


class DatasetNote(BaseModel):
    """The content of `dataset.json`; `counts` are photos by split and class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = NOTE_VERSION
    name: str
    source: str
    source_sha256: str | None
    license: str | None = Field(validation_alias=AliasChoices("license", "licence"))
    """Terms of use. Folders imported before edgecnn 0.2 spell the key `licence`, which is still read."""
    citation: str | None
    counts: dict[str, dict[str, int]]
    created: datetime


def read_note(folder: Path) -> DatasetNote | None:
    """The note of an imported folder; None for a folder that was not imported."""
    try:
        return DatasetNote.model_validate_json((folder / NOTE_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
