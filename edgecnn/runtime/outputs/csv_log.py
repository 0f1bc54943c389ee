r"""CSV log: a header, then one line for every result and event.

Labels come from the model file and source names from the user, so neither may break a line or be interpreted as a
formula. Control characters are escaped (a newline as backslash and n), which keeps every record on one line. Text that
begins with = + - @ is prefixed with an apostrophe, because a spreadsheet would otherwise evaluate it. So is text that
begins with an apostrophe: a program restores the original by removing one leading apostrophe. The SQLite log stores all
text unchanged.
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
    """Owner of an open file that ends with a complete line. Created by `open_csv`."""

    def __init__(self, file: FileIO) -> None:
        self._file = file

    @property
    def size_bytes(self) -> int:
        """Current size of the file."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, records: Sequence[LogRecord]) -> None:
        """Write all records, or none of them.

        Raises:
            OSError: If they cannot be written; the file is then unchanged.
        """
        _append(self._file, _lines(records))

    def seal(self) -> bool:
        """Return True: a CSV file can be renamed at any time."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_csv(path: Path) -> CsvFile:
    """Open a log, or create it; an incomplete last line, which a crash may leave, is removed.

    Args:
        path: File of the log.

    Returns:
        The open log.

    Raises:
        InputError: If the file is not a log of this version.
        OSError: If the file cannot be opened.
    """
    file = FileIO(path, "a+")
    try:
        _prepare(file, path)
    except BaseException:
        file.close()
        raise
    return CsvFile(file)


def _prepare(file: FileIO, path: Path) -> None:
    file.seek(0)
    start = file.read(len(_HEADER))
    if start == _HEADER:
        file.truncate(_end_of_last_line(file))
    elif _HEADER.startswith(start):
        file.truncate(0)
        _append(file, _HEADER)
    else:
        raise InputError(
            f"expected {path} to be a log of this version, with the columns {COLUMNS[0]} to {COLUMNS[-1]}, got a "
            "different first line; move the file or choose another name"
        )


def _end_of_last_line(file: FileIO) -> int:
    """Return the end of the last complete line; there is at least the header.

    The search runs backward from the end, because a log may be large.
    """
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
            # A disk that is nearly full accepts part of the data and rejects the rest.
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
    text = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in value
    )
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "'")) else text
