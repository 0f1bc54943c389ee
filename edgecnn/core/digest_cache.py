"""Digests of photos, kept from one command to the next in a database of the cache folder.

Every function here does its best: if the folder cannot be read or written, nothing is cached, and the caller has to
read the photos.
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
"""The number is the version of the schema."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS photos (
    path BLOB PRIMARY KEY,          -- absolute
    state TEXT NOT NULL,            -- of the file, when it was read
    digest TEXT,                    -- of its content; NULL if it is not an image
    recorded_s INTEGER NOT NULL     -- since 1970
) WITHOUT ROWID
"""
_LOCK_TIMEOUT_S = 2.0
_RETENTION_S = 90 * 24 * 3600
"""Entries older than this are deleted, because whole folders of photos may have been removed since."""


class CachedPhoto(NamedTuple):
    """State and digest of a photo at the time it was read."""

    state: str
    """Size, times and inode of the file, and the decoder's version; the digest is valid while they are the same."""
    digest: str | None
    """SHA-256 of the content in hex; None if the content was not an image."""


def load_cached(root: Path) -> dict[bytes, CachedPhoto]:
    """Return the cached photos below a folder.

    Args:
        root: Folder of photos.

    Returns:
        The cached photos by their `path_key`; empty if there is no usable database.
    """
    try:
        file = cache_folder() / _FILE
        if not file.exists():
            return {}
        with closing(_connect(file)) as database:
            return _below(database, path_key(root))
    except (OSError, InputError, sqlite3.OperationalError):
        return {}
    except sqlite3.DatabaseError:
        # The file is not a database anymore. Delete it, so that the next command creates a new one.
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return {}


def update_cache(photos: Mapping[bytes, CachedPhoto], remove: Iterable[bytes]) -> None:
    """Add photos to the cache and remove others.

    Args:
        photos: Photos by their `path_key`; they replace earlier entries of the same key.
        remove: Keys of the entries to remove.
    """
    recorded_s = int(time.time())
    added = [(key, photo.state, photo.digest, recorded_s) for key, photo in photos.items()]
    removed = [(key,) for key in remove]
    if not added and not removed:
        return
    with suppress(OSError, InputError, sqlite3.Error):
        file = cache_folder() / _FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connect(file)) as database, database:
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            database.execute("DELETE FROM photos WHERE recorded_s < ?", [recorded_s - _RETENTION_S])
            database.executemany("DELETE FROM photos WHERE path = ?", removed)
            database.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?)", added)


def path_key(path: Path) -> bytes:
    """Return the key of a photo in the cache.

    Args:
        path: Photo or folder; a relative path is taken from the working directory.

    Returns:
        The absolute path, as bytes because a file name does not have to be valid text.
    """
    return os.fsencode(os.path.abspath(path))


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=_LOCK_TIMEOUT_S, isolation_level=None)


def _below(database: sqlite3.Connection, root: bytes) -> dict[bytes, CachedPhoto]:
    folder = root.rstrip(b"/") + b"/"
    # "0" is the byte that follows "/".
    rows = database.execute(
        "SELECT path, state, digest FROM photos WHERE path > ? AND path < ?", [folder, folder[:-1] + b"0"]
    )
    return {path: CachedPhoto(state, digest) for path, state, digest in rows}
