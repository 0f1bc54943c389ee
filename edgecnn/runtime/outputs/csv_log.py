"""A log as CSV: a header, then a line for every result and event.

Labels come from the model file and names of sources from the user, so neither may break a line or be taken for a
formula. Control characters are written as escapes (`\\n` as backslash and n): a record is one line whatever is in it.
Text that begins with = + - @ is preceded by an apostrophe, as spreadsheets would calculate it otherwise, and so is text
that begins with an apostrophe: a program gets what was meant by leaving one apostrophe out. The log in SQLite has all
text as it is.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from edgecnn.core.errors import InputError
from edgecnn.runtime.outputs.log_record import COLUMNS, LogRecord, LogValue

_HEADER = (",".join(COLUMNS) + "\n").encode()
_BLOCK_BYTES = 4096


class CsvFile:
    """Owns an open file that ends with a whole line. Made by `open_csv`."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def append(self, records: Sequence[LogRecord]) -> None:
        """Writes all the records or, with an `OSError`, none of them."""
        _append(self._file, _lines(records))

    def seal(self) -> bool:
        """A CSV file can be renamed at any time."""
        return True

    def close(self) -> None:
        self._file.close()


def open_csv(path: Path) -> CsvFile:
    """Opens a log to go on with, or a new one; what a crash left of a last line is cut off.

    Raises `InputError` for a file that is no such log, `OSError` for one that cannot be opened.
    """
    file = FileIO(path, "a+")
    try:
        _make_ready(file, path)
    except BaseException:
        file.close()
        raise
    return CsvFile(file)


def _make_ready(file: FileIO, path: Path) -> None:
    file.seek(0)
    start = file.read(len(_HEADER))
    if start == _HEADER:
        file.truncate(_end_of_last_line(file))
    elif _HEADER.startswith(start):
        file.truncate(0)
        _append(file, _HEADER)
    else:
        raise InputError(
            f"expected {path} to be a log of this version, with the columns {COLUMNS[0]} to {COLUMNS[-1]}, got another "
            "first line; move it away or choose another name"
        )


def _end_of_last_line(file: FileIO) -> int:
    """Searched from the end, as a log may be large; there is the header's line at least."""
    start = file.seek(0, os.SEEK_END)
    while start > 0:
        end, start = start, max(0, start - _BLOCK_BYTES)
        file.seek(start)
        if (newline := file.read(end - start).rfind(b"\n")) >= 0:
            return start + newline + 1
    return 0


def _append(file: FileIO, content: bytes) -> None:
    size_bytes = os.fstat(file.fileno()).st_size
    rest = memoryview(content)
    try:
        while rest:
            # A disk that is nearly full takes a part, and refuses the next.
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(size_bytes)
        raise


def _lines(records: Sequence[LogRecord]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for record in records:
        writer.writerow(_cell(record[column]) for column in COLUMNS)
    return text.getvalue().encode()


def _cell(value: LogValue) -> LogValue:
    if not isinstance(value, str):
        return value
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "'")) else text
