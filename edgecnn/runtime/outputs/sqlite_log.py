"""A log as an SQLite database: a table of results and a table of events.

`application_id` says that it is a log of edgecnn and `user_version` which version of the tables it has. It is in
write-ahead mode, so that others can read while it is being written.
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
"""How long another program that is writing into the log is waited for."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE results (
    time TEXT NOT NULL,           -- of the picture: UTC, ISO 8601 with milliseconds
    source TEXT NOT NULL,         -- the camera
    frame INTEGER NOT NULL,       -- the picture's number within its source
    label TEXT NOT NULL,          -- the best class,
    "index" INTEGER NOT NULL,     -- its place among the model's classes
    score REAL NOT NULL,          -- and its probability
    age_ms REAL NOT NULL,         -- from the picture being complete to the result
    capture_ms REAL NOT NULL,
    preprocess_ms REAL NOT NULL,
    invoke_ms REAL NOT NULL,
    postprocess_ms REAL NOT NULL,
    dropped INTEGER NOT NULL,     -- frames of the source lost so far
    decision TEXT                 -- what is decided over time, if anything
);
CREATE INDEX results_by_time ON results (time);
CREATE TABLE events (
    time TEXT NOT NULL,
    kind TEXT NOT NULL,           -- entered or left
    source TEXT NOT NULL,
    label TEXT NOT NULL,          -- of what was entered or left; "unknown" has the index -1
    "index" INTEGER NOT NULL,
    score REAL NOT NULL,
    duration_s REAL               -- of left: since it was entered
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
    """Owns a connection to a log's database. Made by `open_sqlite`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def size_bytes(self) -> int:
        """With what is in the write-ahead log only, as yet."""
        return int(_pragma(self._connection, "page_count")) * int(_pragma(self._connection, "page_size"))

    def append(self, records: Sequence[LogRecord]) -> None:
        """Writes all the records in one transaction or, with an `sqlite3.Error`, none of them."""
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
        """Makes the database one file without companions, fit to be renamed; False while others have it open."""
        try:
            return bool(_pragma(self._connection, "journal_mode = DELETE") == "delete")
        except sqlite3.OperationalError:
            return False

    def close(self) -> None:
        self._connection.close()


def open_sqlite(path: Path) -> SqliteFile:
    """Opens a log to go on with, or a new one.

    Raises `InputError` for a file that is no such log, `sqlite3.Error` for one that cannot be opened.
    """
    # Opened by one thread and used by another, never by two at once. Transactions are begun and ended here.
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        _make_ready(connection, path)
    except BaseException:
        connection.close()
        raise
    return SqliteFile(connection)


def _make_ready(connection: sqlite3.Connection, path: Path) -> None:
    marks = _marks(connection)
    if marks == (0, 0, 0):
        connection.executescript(_SCHEMA)
    elif marks[:2] != (APPLICATION_ID, SCHEMA_VERSION):
        raise InputError(
            f"expected {path} to be a log of this version, an SQLite database with tables of version {SCHEMA_VERSION}, "
            "got another file; move it away or choose another name"
        )
    _pragma(connection, "journal_mode = WAL")
    # A commit then costs an SD card no flush of its own, and a power cut still leaves a whole database.
    connection.execute("PRAGMA synchronous = NORMAL")


def _marks(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Application id, schema version and how many tables and indices there are; nothing of what is no database."""
    try:
        objects = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        return int(_pragma(connection, "application_id")), int(_pragma(connection, "user_version")), int(objects)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return ()
        raise


def _encodable(value: LogValue) -> LogValue:
    """The value with escapes for what UTF-8 cannot hold, as in the names of files whose bytes are no text."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _pragma(connection: sqlite3.Connection, text: str) -> Any:
    return connection.execute(f"PRAGMA {text}").fetchone()[0]
