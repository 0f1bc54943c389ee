"""Files that make way for new ones: NAME.csv becomes NAME.1.csv, that one NAME.2.csv, and so on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def rotated_path(path: Path, number: int) -> Path:
    """What `path` is called after it has made way so many times."""
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def rotate(path: Path, keep: int) -> None:
    """Moves `path` and the older files on by one; of the older ones `keep` stay, one at least. Raises `OSError`."""
    for number in range(keep - 1, 0, -1):
        # A gap in the numbers, which a user's deletion leaves, closes by itself.
        with suppress(FileNotFoundError):
            os.replace(rotated_path(path, number), rotated_path(path, number + 1))
    os.replace(path, rotated_path(path, 1))
