"""Log of a run: every result and every event, in a file that is rotated when it is full."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from edgecnn.core.errors import InputError, WriteError
from edgecnn.runtime.outputs.csv_log import open_csv
from edgecnn.runtime.outputs.log_record import LogRecord, log_record
from edgecnn.runtime.outputs.output import FLUSH_S, ItemsLost, Want
from edgecnn.runtime.outputs.sqlite_log import open_sqlite
from edgecnn.runtime.sinks import CameraEvent, Result

MIN_LOG_BYTES = 100_000
"""Minimum size of a log. A smaller one would be rotated every few seconds, and its content soon deleted."""

_MAX_BUFFERED = 1000


class LogFile(Protocol):
    """Open log file in one of the formats."""

    @property
    def size_bytes(self) -> int:
        """Current size of the file."""

    def append(self, records: Sequence[LogRecord]) -> None:
        """Write all records, or none of them.

        Raises:
            OSError: If a CSV file cannot be written.
            sqlite3.Error: If a database cannot be written.
        """

    def seal(self) -> bool:
        """Prepare the file for being closed and renamed; return False if that is not possible yet."""

    def close(self) -> None:
        """Close the file."""


class ResultLog:
    """Output that owns a log file and rotates it when it is full. Created by `open_log`.

    Records are written in batches, once a second: that limits what a kill may lose, and spares an SD card. Records that
    cannot be written stay buffered, and new ones are lost until writing works again; the file contains complete records
    only.
    """

    def __init__(self, path: Path, open_file: Callable[[Path], LogFile], *, max_bytes: int, keep: int) -> None:
        self.name = f"log {path}"
        self._path = path
        self._open_file = open_file
        self._max_bytes = max_bytes
        self._keep = keep
        self._file: LogFile | None = open_file(path)
        self._identity = _identity(path)
        self._buffer: list[LogRecord] = []
        self._due_s = time.monotonic()

    def wants(self, result: Result) -> Want:
        """Return "figures": a log needs no pixels."""
        return "figures"

    def take(self, item: Result | CameraEvent) -> None:
        """Write a record, or buffer it to be written with others.

        Raises:
            WriteError: If the record is lost.
        """
        record = log_record(item)
        if time.monotonic() >= self._due_s or len(self._buffer) >= _MAX_BUFFERED:
            self._write([*self._buffer, record])
        else:
            self._buffer.append(record)

    def flush(self) -> None:
        """Write the buffered records.

        Raises:
            WriteError: If they cannot be written; they stay buffered.
        """
        if self._buffer:
            self._write(self._buffer)

    def close(self) -> None:
        """Write the buffered records and close the file.

        Raises:
            ItemsLost: If they cannot be written.
        """
        try:
            self.flush()
        except WriteError as error:
            raise ItemsLost(f"{error}; the last {len(self._buffer)} records are lost", len(self._buffer)) from None
        finally:
            self._close_file()

    def _write(self, records: Sequence[LogRecord]) -> None:
        try:
            self._file_with_room().append(records)
        except (OSError, sqlite3.Error, InputError) as error:
            raise WriteError(_describe_error(f"cannot write {self._path}", error)) from None
        self._buffer = []
        self._due_s = time.monotonic() + FLUSH_S

    def _file_with_room(self) -> LogFile:
        if self._file is not None and _identity(self._path) != self._identity:
            # The file was moved or deleted: nobody would find what is written to it.
            self._close_file()
        if self._file is not None and self._file.size_bytes >= self._max_bytes and self._file.seal():
            self._close_file()
            _rotate(self._path, self._keep)
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
    """Open a log in CSV or SQLite, depending on its suffix; an existing log is continued.

    Args:
        path: File of the log.
        max_bytes: Size at which the log is rotated (see `rotated_path`), at least `MIN_LOG_BYTES`.
        keep: Number of rotated logs to keep, at least 1.

    Returns:
        The output.

    Raises:
        InputError: If the suffix is unknown, a number is too small, or the file is not a log of this version or cannot
            be written.
    """
    open_file = _FORMATS.get(path.suffix.lower())
    if open_file is None:
        raise InputError(f"expected a log named {', '.join(f'*{suffix}' for suffix in _FORMATS)}, got {path}")
    if max_bytes < MIN_LOG_BYTES or keep < 1:
        raise InputError(
            f"expected a log of at least {MIN_LOG_BYTES} bytes and at least one rotated log to keep, got {max_bytes} "
            f"bytes and {keep}; use larger numbers"
        )
    try:
        return ResultLog(path, open_file, max_bytes=max_bytes, keep=keep)
    except (OSError, sqlite3.Error) as error:
        raise InputError(_describe_error(f"cannot open the log {path}", error)) from None


def rotated_path(path: Path, number: int) -> Path:
    """Return the name of a log after it was rotated.

    The first rotation renames NAME.csv to NAME.1.csv, the next one that file to NAME.2.csv, and so on.

    Args:
        path: File of the log.
        number: Number of rotations.

    Returns:
        The path with the number before the suffix.
    """
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _rotate(path: Path, keep: int) -> None:
    """Rename the log and the older ones to their next numbers; the oldest is replaced if there are `keep` of them."""
    for number in range(keep - 1, 0, -1):
        # A gap in the numbers, left when a user deletes a file, is filled here.
        with suppress(FileNotFoundError):
            os.replace(rotated_path(path, number), rotated_path(path, number + 1))
    os.replace(path, rotated_path(path, 1))


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, which differ if another file has the name later; None if there is no file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _describe_error(what: str, error: Exception) -> str:
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return f"{what}: {reason}; free some space or choose another location"
