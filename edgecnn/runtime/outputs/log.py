"""The log of a run: every result and every event, in a file that makes way for a new one when it is full."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from edgecnn.core.errors import InputError, WriteError
from edgecnn.runtime.outputs.csv_log import open_csv
from edgecnn.runtime.outputs.log_record import LogRecord, log_record
from edgecnn.runtime.outputs.output import FLUSH_S, ItemsLost, Want
from edgecnn.runtime.outputs.rotation import rotate
from edgecnn.runtime.outputs.sqlite_log import open_sqlite
from edgecnn.runtime.sinks import CameraEvent, Result

MIN_LOG_BYTES = 100_000
"""A smaller log would make way every few seconds, and nothing be left of what it said."""

_MOST_HELD = 1000


class LogFile(Protocol):
    """An open log, in one format or another."""

    @property
    def size_bytes(self) -> int:
        """How large it is by now."""

    def append(self, records: Sequence[LogRecord]) -> None:
        """Writes all of the records, or none of them and raises `OSError` or `sqlite3.Error`."""

    def seal(self) -> bool:
        """Makes the file fit to be closed and renamed; False while it cannot be."""

    def close(self) -> None:
        """Lets go of the file."""


class ResultLog:
    """An output that owns a log file, and opens a new one when it is full. Made by `open_log`.

    Records go into the file together, once a second: that is what a kill may take, and what spares an SD card. When
    they cannot be written they are held, and what comes is lost until they can; the file holds whole records only.
    """

    def __init__(self, path: Path, open_file: Callable[[Path], LogFile], *, max_bytes: int, keep: int) -> None:
        self.name = f"log {path}"
        self._path = path
        self._open_file = open_file
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: LogFile | None = open_file(path)
        self._identity = _identity(path)
        self._held: list[LogRecord] = []
        self._due_s = time.monotonic()

    def wants(self, result: Result) -> Want:
        return "figures"

    def take(self, item: Result | CameraEvent) -> None:
        """Writes a record, or holds it back to be written with others. Raises `WriteError`."""
        record = log_record(item)
        if time.monotonic() >= self._due_s or len(self._held) >= _MOST_HELD:
            self._write([*self._held, record])
        else:
            self._held.append(record)

    def flush(self) -> None:
        """Writes what is held back. Raises `WriteError`, and holds it on."""
        if self._held:
            self._write(self._held)

    def close(self) -> None:
        """Writes what is held back and closes the file. Raises `ItemsLost`."""
        try:
            self.flush()
        except WriteError as error:
            raise ItemsLost(f"{error}; the last {len(self._held)} records are lost", len(self._held)) from None
        finally:
            self._close_file()

    def _write(self, records: Sequence[LogRecord]) -> None:
        try:
            self._file_with_room().append(records)
        except (OSError, sqlite3.Error, InputError) as error:
            raise WriteError(_describe_error(f"cannot write {self._path}", error)) from None
        self._held = []
        self._due_s = time.monotonic() + FLUSH_S

    def _file_with_room(self) -> LogFile:
        if self._file is not None and _identity(self._path) != self._identity:
            # Somebody moved or deleted it: what is written into it would be seen by nobody.
            self._close_file()
        if self._file is not None and self._file.size_bytes >= self._max_bytes and self._file.seal():
            self._close_file()
            rotate(self._path, self._keep)
        if self._file is None:
            self._file = self._open_file(self._path)
            self._identity = _identity(self._path)
        return self._file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


_FORMATS: dict[str, Callable[[Path], LogFile]] = {
    ".csv": open_csv,
    ".db": open_sqlite,
    ".sqlite": open_sqlite,
    ".sqlite3": open_sqlite,
}


def open_log(path: Path, *, max_bytes: int, keep: int) -> ResultLog:
    """Opens a log, in CSV or SQLite by its suffix; one that is there is continued.

    A log of `max_bytes` makes way for a new one (see `rotation`), and `keep` of the older ones stay. Raises
    `InputError` for another suffix, a file that is no log of this version, and one that cannot be written.
    """
    open_file = _FORMATS.get(path.suffix.lower())
    if open_file is None:
        raise InputError(f"expected a log called {', '.join(f'*{suffix}' for suffix in _FORMATS)}, got {path}")
    if max_bytes < MIN_LOG_BYTES or keep < 1:
        raise InputError(
            f"expected logs of {MIN_LOG_BYTES} bytes at least and one older one to keep, got {max_bytes} bytes and "
            f"{keep}; give more"
        )
    try:
        return ResultLog(path, open_file, max_bytes=max_bytes, keep=keep)
    except (OSError, sqlite3.Error) as error:
        raise InputError(_describe_error(f"cannot open the log {path}", error)) from None


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells the file of this name from another that takes the name later; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _describe_error(what: str, error: Exception) -> str:
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"{what}: {reason}; free some space or choose another place"
