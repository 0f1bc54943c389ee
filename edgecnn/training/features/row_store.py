"""Arrays of equal shape, one per photo, in a file that only grows and is memory-mapped for reading.

A store is a folder with two files: `rows` contains the arrays one after another, and `index.sqlite` maps keys to
positions. An array is on the disk before the index contains its position. If a crash, a full disk or another process
interferes, the worst result is arrays that the index does not mention; the next writer overwrites them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import WriteError

_SCHEMA = "CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, position INTEGER UNIQUE NOT NULL) WITHOUT ROWID"
_LOCK_TIMEOUT_S = 60.0
"""Time to wait for another process that is writing a batch."""


@dataclass(frozen=True, slots=True)
class RowStore:
    """The location of a store and the layout of its arrays."""

    folder: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """Shape of each array."""

    @property
    def row_bytes(self) -> int:
        """Size of each array in bytes."""
        return self.dtype.itemsize * prod(self.shape)


class Rows:
    """A selection of the arrays of a store, `[n, *shape]`; only the ones that are indexed are read from the disk."""

    def __init__(self, stored: NDArray[Any], positions: NDArray[np.int64]) -> None:
        self._stored = stored
        self._positions = positions

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n, *shape)`, where `shape` is that of each array."""
        return (len(self._positions), *self._stored.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the arrays."""
        return self._stored.dtype

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int | slice | NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the arrays at an index, a slice or an array of indices; the result may be a read-only view."""
        chosen: NDArray[Any] = self._stored[self._positions[index]]
        return chosen

    def split(self, counts: Iterable[int]) -> list[Rows]:
        """Split the selection into consecutive parts of `counts` arrays; nothing is read."""
        ends = np.cumsum([*counts])
        return [Rows(self._stored, positions) for positions in np.split(self._positions, ends)[:-1]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


def stored_positions(store: RowStore) -> dict[str, int]:
    """Return the positions of all arrays of a store.

    Args:
        store: Store, which need not exist.

    Returns:
        Position of each array in the file, by key; empty if there is no store.

    Raises:
        WriteError: The store cannot be read.
    """
    index = store.folder / "index.sqlite"
    with _one_line_errors(store):
        if not index.exists():
            return {}
        with closing(sqlite3.connect(index, timeout=_LOCK_TIMEOUT_S)) as database:
            # A crash while the store was created leaves an index without its table.
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchone():
                return {}
            # If the file of arrays was truncated or deleted, the index contains positions beyond its end.
            found = database.execute("SELECT key, position FROM rows WHERE position < ?", [_complete_rows(store)])
            return dict(found.fetchall())


def add_rows(store: RowStore, rows: dict[str, NDArray[Any]]) -> None:
    """Add arrays to a store, all of them or none; keys that it already contains are skipped.

    Args:
        store: Store; it is created if it does not exist.
        rows: Arrays by key, each with the shape of the store.

    Raises:
        WriteError: The disk is full or not writable, or the index is corrupted. Nothing was added.
    """
    if not rows:
        return
    with _one_line_errors(store):
        store.folder.mkdir(parents=True, exist_ok=True)
        index = store.folder / "index.sqlite"
        with closing(sqlite3.connect(index, timeout=_LOCK_TIMEOUT_S, isolation_level=None)) as database, database:
            # The lock on the index makes this process the only writer of both files.
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            database.execute("DELETE FROM rows WHERE position >= ?", [_complete_rows(store)])
            new = [key for key in rows if not _has(database, key)]
            (end,) = database.execute("SELECT COALESCE(MAX(position) + 1, 0) FROM rows").fetchone()
            _write(store, end, [rows[key] for key in new])
            database.executemany("INSERT INTO rows VALUES (?, ?)", zip(new, range(end, end + len(new)), strict=True))


def map_rows(store: RowStore, keys: Sequence[str]) -> Rows:
    """Map the arrays of keys into memory.

    Args:
        store: Store that contains all the keys.
        keys: Keys, which may repeat.

    Returns:
        The arrays in the order of `keys`.

    Raises:
        WriteError: An array is missing, or the store cannot be read.
    """
    positions = stored_positions(store)
    missing = sum(key not in positions for key in keys)
    if missing:
        raise WriteError(f"{missing} of {len(keys)} entries have disappeared from {store.folder}; try again")
    if not keys:
        return Rows(np.empty((0, *store.shape), store.dtype), np.empty(0, np.int64))
    with _one_line_errors(store):
        stored = np.memmap(store.folder / "rows", store.dtype, "r", shape=(_complete_rows(store), *store.shape))
    # A plain array is faster to index than a memmap.
    return Rows(np.asarray(stored), np.array([positions[key] for key in keys], np.int64))


def _complete_rows(store: RowStore) -> int:
    """Return the number of arrays that are completely in the file."""
    try:
        return (store.folder / "rows").stat().st_size // store.row_bytes
    except FileNotFoundError:
        return 0


def _has(database: sqlite3.Connection, key: str) -> bool:
    return database.execute("SELECT 1 FROM rows WHERE key = ?", [key]).fetchone() is not None


def _write(store: RowStore, position: int, rows: list[NDArray[Any]]) -> None:
    """Write arrays from a position on; they are on the disk when this function returns."""
    path = store.folder / "rows"
    path.touch()
    with open(path, "r+b") as file:
        file.seek(position * store.row_bytes)
        for row in rows:
            file.write(np.ascontiguousarray(row, store.dtype).tobytes())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _one_line_errors(store: RowStore) -> Iterator[None]:
    """Turn errors of the system and of SQLite into `WriteError`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise WriteError(
            f"could not use the cache in {store.folder}: {reason}; free some space, delete that folder, or set "
            "$EDGECNN_CACHE to another one"
        ) from error
