"""Import of data sets whose labels are in a table: a CSV of paths and labels."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.dataset import TRAIN
from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.images import IMAGE_SUFFIXES
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.data.csv_columns import SPLIT_COLUMN, Columns
from edgecnn.data.source import Photo, Source, class_folders, name_classes, parse_split


class _Row(NamedTuple):
    line: int
    path: Path
    label: str
    split: str


def read_csv(path: Path, labels: LabelMap | None = None, columns: Columns | None = None) -> Source:
    """Open a data set of photos whose paths and labels are in a CSV file with a header.

    The delimiter is detected. A photo is copied under its own name, prefixed with the number of its line.

    Args:
        path: CSV file; the photos' paths in it are relative to its folder.
        labels: Class names. If given, the labels in the table must be numbers from 0, which are indices into them.
        columns: Columns to read. Without a column of splits, all photos are for training.

    Returns:
        The data set; the photos are read when it is iterated.

    Raises:
        InputError: The table or a row of it is invalid; the message names the line.
    """
    rows = _read_rows(path, columns or Columns())
    names = _label_names(rows, labels, path)

    def photos() -> Iterator[Photo]:
        for row in rows:
            yield Photo(row.split, names[row.label], f"{row.line:06}-{row.path.name}", _read_photo(row, path))

    return Source(path.stem, path.name, sha256_of(path), license=None, citation=None, count=len(rows), photos=photos)


def _read_rows(path: Path, columns: Columns) -> list[_Row]:
    try:
        # Spreadsheets put a byte order mark before the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, dialect=_dialect(file.readline(), path))
            file.seek(0)
            header = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = header
            present = _present_columns(columns, header, path)
            rows = [_parse_row(record, reader.line_num, present, path) for record in reader]
    except FileNotFoundError:
        raise InputError(f"no such file: {path}; expected a CSV of paths and labels") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV of paths and labels in UTF-8: {error}") from None
    if not rows:
        raise InputError(f"{path} has a header but no rows; expected a path and a label in each")
    return rows


def _dialect(header: str, path: Path) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(header, delimiters=",;\t|")
    except csv.Error:
        raise InputError(
            f"{path}: expected a header of columns separated by commas, semicolons, tabs or bars, "
            f"got {header.strip()!r:.80}"
        ) from None


def _present_columns(columns: Columns, header: Sequence[str], path: Path) -> Columns:
    present = columns._replace(split=columns.split or (SPLIT_COLUMN if SPLIT_COLUMN in header else None))
    for name in present:
        if name is not None and name not in header:
            raise UnknownName(f"column of {path}", name, header)
    return present


def _parse_row(record: dict[str, str | None], line: int, columns: Columns, table: Path) -> _Row:
    def value(column: str) -> str:
        text = (record[column] or "").strip()
        if not text:
            raise InputError(f"{table}, line {line}: {column} is empty; expected a value in each row")
        return text

    photo = table.parent / value(columns.path)
    if photo.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"{table}, line {line}: {photo} has no photo extension; expected a file such as photo.jpg")
    if not photo.is_file():
        raise InputError(f"{table}, line {line}: no such file: {photo}; paths are relative to the table")
    split = parse_split(value(columns.split), f"{table}, line {line}") if columns.split else TRAIN
    return _Row(line, photo, value(columns.label), split)


def _label_names(rows: Sequence[_Row], labels: LabelMap | None, path: Path) -> dict[str, str]:
    """Return the class folder of every label in the table."""
    if labels is None:
        return class_folders((row.label for row in rows), str(path))
    for row in rows:
        if not row.label.isdecimal():
            raise InputError(f"{path}, line {row.line}: expected the number of a label, got {row.label!r}")
    names = name_classes({int(row.label) for row in rows}, labels, str(path))
    return {row.label: names[int(row.label)] for row in rows}


def _read_photo(row: _Row, table: Path) -> bytes:
    try:
        return row.path.read_bytes()
    except OSError as error:
        raise InputError(f"{table}, line {row.line}: cannot read {row.path}: {error.strerror}") from None
