"""`dataset.json`, which records the origin of an imported folder of photos."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

NOTE_FILE = "dataset.json"
NOTE_VERSION: Final = 1


class DatasetNote(BaseModel):
    """The content of `dataset.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = NOTE_VERSION
    name: str
    source: str
    """Name of the imported file, or of the published data set."""
    source_sha256: str | None
    """Hex digest of that file."""
    license: str | None = Field(validation_alias=AliasChoices("license", "licence"))
    """Terms of use. Folders imported before edgecnn 0.2 spell the key `licence`, which is still read."""
    citation: str | None
    counts: dict[str, dict[str, int]]
    """Number of photos by split and class."""
    created: datetime


def read_note(folder: Path) -> DatasetNote | None:
    """Read the note of an imported folder.

    Args:
        folder: Any path.

    Returns:
        None if the folder was not imported, or does not exist.
    """
    try:
        return DatasetNote.model_validate_json((folder / NOTE_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
