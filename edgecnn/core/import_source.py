"""What photos can be imported from, by how it is written."""

from __future__ import annotations

TFDS_PREFIX = "tfds:"
SOURCE_SUFFIXES = (".npz", ".csv")


def is_import_source(text: str) -> bool:
    """Whether `text` names something to import photos from, and not a folder of them."""
    return text.startswith(TFDS_PREFIX) or text.lower().endswith(SOURCE_SUFFIXES)
