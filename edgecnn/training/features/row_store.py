"""Arrays of equal shape, one for each photo, in a file that only grows and is mapped into memory to be read.

A store is a folder with two files: `rows`, the arrays one behind another, and `index.sqlite`, which says whose array is
where. An array is on the disk before the index names it. Whatever comes in between, a crash, a full disk or another
process, leaves at worst arrays that nobody finds, and the next writer writes over them.
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
"""Another process that writes needs a moment for each of its batches."""


@dataclass(frozen=True, slots=True)
class RowStore:
    """Where a store is, and what each of its arrays looks like."""

    folder: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * prod(self.shape)


class Rows:
    """Arrays of a store under indices of one's own, `[n, *shape]`; only what is asked for is read from the disk."""

    def __init__(self, stored: NDArray[Any], positions: NDArray[np.int64]) -> None:
        self._stored = stored
        self._positions = positions

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._positions), *self._stored.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._stored.dtype

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: int | slice | NDArray[np.integer[Any]]) -> NDArray[Any]:
        """The arrays at an index, a slice or an array of indices; an array may be in the file's memory, read-only."""
        chosen: NDArray[Any] = self._stored[self._positions[index]]
        return chosen

    def divided(self, counts: Iterable[int]) -> list[Rows]:
        """Parts of so many arrays each, one behind another; nothing is read."""
        ends = np.cumsum([*counts])
        return [Rows(self._stored, positions) for positions in np.split(self._positions, ends)[:-1]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)


def stored_positions(store: RowStore) -> dict[str, int]:
    """Where the array of each key is. Raises `WriteError` for a store that cannot be read."""
    index = store.folder / "index.sqlite"
    with _one_line_errors(store):
        if not index.exists():
            return {}
        with closing(sqlite3.connect(index, timeout=_LOCK_TIMEOUT_S)) as database:
            # A crash while the store was made leaves an index without its table.
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchone():
                return {}
            # A file that was cut or deleted under the index has fewer arrays than that knows of.
            found = database.execute("SELECT key, position FROM rows WHERE position < ?", [_whole_rows(store)])
            return dict(found.fetchall())


def add_rows(store: RowStore, rows: dict[str, NDArray[Any]]) -> None:
    """Adds arrays by their keys, but for those that are there: all of them or, with a `WriteError`, none."""
    if not rows:
        return
    with _one_line_errors(store):
        store.folder.mkdir(parents=True, exist_ok=True)
        index = store.folder / "index.sqlite"
        with closing(sqlite3.connect(index, timeout=_LOCK_TIMEOUT_S, isolation_level=None)) as database, database:
            # From here on this is the only writer, of both files.
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            database.execute("DELETE FROM rows WHERE position >= ?", [_whole_rows(store)])
            new = [key for key in rows if not _has(database, key)]
            (end,) = database.execute("SELECT COALESCE(MAX(position) + 1, 0) FROM rows").fetchone()
            _write(store, end, [rows[key] for key in new])
            database.executemany("INSERT INTO rows VALUES (?, ?)", zip(new, range(end, end + len(new)), strict=True))


def map_rows(store: RowStore, keys: Sequence[str]) -> Rows:
    """The arrays of keys, in the order of the keys. Raises `WriteError` where the store does not hold them all."""
    positions = stored_positions(store)
    lost = sum(key not in positions for key in keys)
    if lost:
        raise WriteError(f"{lost} of {len(keys)} entries have gone from {store.folder} meanwhile; try again")
    if not keys:
        return Rows(np.empty((0, *store.shape), store.dtype), np.empty(0, np.int64))
    with _one_line_errors(store):
        stored = np.memmap(store.folder / "rows", store.dtype, "r", shape=(_whole_rows(store), *store.shape))
    # As a plain array it is faster to index.
    return Rows(np.asarray(stored), np.array([positions[key] for key in keys], np.int64))


def _whole_rows(store: RowStore) -> int:
    try:
        return (store.folder / "rows").stat().st_size // store.row_bytes
    except FileNotFoundError:
        return 0


def _has(database: sqlite3.Connection, key: str) -> bool:
    return database.execute("SELECT 1 FROM rows WHERE key = ?", [key]).fetchone() is not None


def _write(store: RowStore, position: int, rows: list[NDArray[Any]]) -> None:
    """Puts arrays at a position; they are on the disk when this returns."""
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
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise WriteError(
            f"could not use the cache in {store.folder}: {reason}; free some space, delete that folder, or name "
            "another place in $EDGECNN_CACHE"
        ) from error
