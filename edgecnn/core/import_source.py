"""Names of sources that photos can be imported from."""

from __future__ import annotations

TFDS_PREFIX = "tfds:"
SOURCE_SUFFIXES = (".npz", ".csv")


def is_import_source(text: str) -> bool:
    """Return True if a name denotes a source to import photos from.

    Args:
        text: Path or name as the user wrote it.

    Returns:
        True for `tfds:NAME`, an `.npz` and a `.csv`; False for anything else, which is a folder of photos.
    """
    return text.startswith(TFDS_PREFIX) or text.lower().endswith(SOURCE_SUFFIXES)
