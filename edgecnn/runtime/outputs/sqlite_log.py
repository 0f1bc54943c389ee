"""SQLite log: a database with a table of results and a table of events.

`application_id` identifies it as an edgecnn log, and `user_version` is the version of its tables. The database is in
write-ahead mode, so that other programs can read it while it is being written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecnn.core.errors import InputError
from edgecnn.runtime.outputs.log_record import LogRecord, LogValue

APPLICATION_ID = int.from_bytes(b"ecnn")
SCHEMA_VERSION = 1

_LOCK_TIMEOUT_S = 0.2
"""Longest wait for another program that is writing to the log."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE results (
    time TEXT NOT NULL,           -- of the picture: UTC, ISO 8601 with milliseconds
    source TEXT NOT NULL,         -- the camera
    frame INTEGER NOT NULL,       -- the picture's number within its source
    label TEXT NOT NULL,          -- the best class,
    "index" INTEGER NOT NULL,     -- its index among the model's classes
    score REAL NOT NULL,          -- and its probability
    age_ms REAL NOT NULL,         -- from the complete picture to the result
    capture_ms REAL NOT NULL,
    preprocess_ms REAL NOT NULL,
    invoke_ms REAL NOT NULL,
    postprocess_ms REAL NOT NULL,
    dropped INTEGER NOT NULL,     -- frames of the source lost so far
    decision TEXT                 -- the decision over time, if there is one
);
CREATE INDEX results_by_time ON results (time);
CREATE TABLE events (
    time TEXT NOT NULL,
    kind TEXT NOT NULL,           -- entered or left
    source TEXT NOT NULL,
    label TEXT NOT NULL,          -- of the class entered or left; "unknown" has index -1
    "index" INTEGER NOT NULL,
    score REAL NOT NULL,
    duration_s REAL               -- for left: time since it was entered
);
CREATE INDEX events_by_time ON events (time);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

_INSERT_RESULT = """
INSERT INTO results VALUES (:time, :source, :frame, :label, :index, :score, :age_ms, :capture_ms, :preprocess_ms,
    :invoke_ms, :postprocess_ms, :dropped, :decision)
"""
_INSERT_EVENT = "INSERT INTO events VALUES (:time, :kind, :source, :label, :index, :score, :duration_s)"


class SqliteFile:
    """Owner of a connection to the database of a log. Created by `open_sqlite`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def size_bytes(self) -> int:
        """Current size, including data that is still in the write-ahead log only."""
        return int(_pragma(self._connection, "page_count")) * int(_pragma(self._connection, "page_size"))

    def append(self, records: Sequence[LogRecord]) -> None:
        """Write all records in one transaction, or none of them.

        Raises:
            sqlite3.Error: If they cannot be written.
        """
        rows = [{name: _encodable(value) for name, value in record.items()} for record in records]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_INSERT_RESULT, [row for row in rows if row["kind"] == "result"])
            self._connection.executemany(_INSERT_EVENT, [row for row in rows if row["kind"] != "result"])
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def seal(self) -> bool:
        """Reduce the database to one file, which can be renamed; return False while other programs have it open."""
        try:
            return bool(_pragma(self._connection, "journal_mode = DELETE") == "delete")
        except sqlite3.OperationalError:
            return False

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_sqlite(path: Path) -> SqliteFile:
    """Open a log, or create it.

    Args:
        path: File of the database.

    Returns:
        The open log.

    Raises:
        InputError: If the file is not a log of this version.
        sqlite3.Error: If the file cannot be opened.
    """
    # One thread opens the connection and another uses it, but never both at once. Transactions are explicit.
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return SqliteFile(connection)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    marks = _marks(connection)
    if marks == (0, 0, 0):
        connection.executescript(_SCHEMA)
    elif marks[:2] != (APPLICATION_ID, SCHEMA_VERSION):
        raise InputError(
            f"expected {path} to be a log of this version, an SQLite database with tables of version {SCHEMA_VERSION}, "
            "got a different file; move the file or choose another name"
        )
    _pragma(connection, "journal_mode = WAL")
    # In this mode a commit does not flush to the SD card, and the database still survives a power failure.
    connection.execute("PRAGMA synchronous = NORMAL")


def _marks(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return application id, schema version and number of tables and indices; empty if the file is not a database."""
    try:
        objects = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return int(_pragma(connection, "application_id")), int(_pragma(connection, "user_version")), int(objects)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return ()
        raise


def _encodable(value: LogValue) -> LogValue:
    """Escape characters that UTF-8 cannot encode, as in file names whose bytes are not valid text."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _pragma(connection: sqlite3.Connection, text: str) -> Any:
    return connection.execute(f"PRAGMA {text}").fetchone()[0]
