"""Digests of photos, remembered from command to command in a database of the cache folder.

Every function here works as well as it can: where the folder cannot be read or written, nothing is remembered, and what
asks has to look for itself.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.cache_folder import cache_folder
from edgecnn.core.errors import InputError

_FILE = "photos-1.sqlite"
"""The number is that of the schema."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS photos (
    path BLOB PRIMARY KEY,          -- absolute
    state TEXT NOT NULL,            -- of the file, when it was read
    digest TEXT,                    -- of its content; NULL where that is no image
    recorded_s INTEGER NOT NULL     -- since 1970
) WITHOUT ROWID
"""
_LOCK_TIMEOUT_S = 2.0
_KEPT_S = 90 * 24 * 3600
"""What was recorded longer ago is forgotten, since folders of photos may have gone meanwhile."""


class Remembered(NamedTuple):
    """A photo as it was read once."""

    state: str
    digest: str | None
    """None where the content was no image."""


def recall(root: Path) -> dict[bytes, Remembered]:
    """What is remembered of the files below `root`, by their `path_key`."""
    try:
        file = cache_folder() / _FILE
        if not file.exists():
            return {}
        with closing(_connect(file)) as database:
            return _below(database, path_key(root))
    except (OSError, InputError, sqlite3.OperationalError):
        return {}
    except sqlite3.DatabaseError:
        # Not a database any more: the next one takes its place.
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return {}


def remember(photos: Mapping[bytes, Remembered], forget: Iterable[bytes]) -> None:
    """Adds photos by their `path_key`, in place of what was known of them, and drops others."""
    recorded_s = int(time.time())
    added = [(key, photo.state, photo.digest, recorded_s) for key, photo in photos.items()]
    dropped = [(key,) for key in forget]
    if not added and not dropped:
        return
    with suppress(OSError, InputError, sqlite3.Error):
        file = cache_folder() / _FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connect(file)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            database.execute("DELETE FROM photos WHERE recorded_s < ?", [recorded_s - _KEPT_S])
            database.executemany("DELETE FROM photos WHERE path = ?", dropped)
            database.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?)", added)


def path_key(path: Path) -> bytes:
    """The absolute path; in bytes, since a file's name need not be text."""
    return os.fsencode(os.path.abspath(path))


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=_LOCK_TIMEOUT_S, isolation_level=None)


def _below(database: sqlite3.Connection, root: bytes) -> dict[bytes, Remembered]:
    folder = root.rstrip(b"/") + b"/"
    # In the order of bytes, "0" is what follows "/".
    rows = database.execute(
        "SELECT path, state, digest FROM photos WHERE path > ? AND path < ?", [folder, folder[:-1] + b"0"]
    )
    return {path: Remembered(state, digest) for path, state, digest in rows}
