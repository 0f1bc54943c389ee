"""Data sets in other forms, written as folders of photos."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

from edgecnn.core.atomic import atomic_folder, write_json
from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import DataError, InputError
from edgecnn.core.import_source import SOURCE_SUFFIXES, TFDS_PREFIX
from edgecnn.core.labels import LabelMap, read_labels
from edgecnn.core.progress import Progress, silent
from edgecnn.data.csv_columns import Columns
from edgecnn.data.csv_table import read_csv
from edgecnn.data.note import NOTE_FILE, DatasetNote, read_note
from edgecnn.data.npz import read_npz
from edgecnn.data.source import Source
from edgecnn.data.tfds import read_tfds


def open_source(text: str, *, labels: LabelMap | None = None, columns: Columns | None = None) -> Source:
    """What `text` names: an `.npz`, a `.csv`, or `tfds:NAME`. Raises `InputError`.

    `labels` name the classes of an `.npz`, or of a table whose labels are numbers.
    """
    if text.startswith(TFDS_PREFIX):
        if labels is not None:
            raise InputError(f"{text} has names for its classes; give no labels")
        return read_tfds(text.removeprefix(TFDS_PREFIX))
    path = Path(text)
    match path.suffix.lower():
        case ".npz":
            return read_npz(path, labels)
        case ".csv":
            return read_csv(path, labels, columns)
    raise InputError(
        f"cannot import from {text}: expected a file that ends in {' or '.join(SOURCE_SUFFIXES)}, or the name of a "
        f"TensorFlow data set as {TFDS_PREFIX}NAME"
    )


def parse_label_names(text: str) -> LabelMap:
    """Labels from a file, one a line, or from their names between commas. Raises `InputError`."""
    if Path(text).is_file():
        return read_labels(Path(text))
    if "," not in text:
        raise InputError(f"expected labels as a file with one a line, or as names between commas, got {text!r}")
    return LabelMap(tuple(name.strip() for name in text.split(",")))


def import_dataset(
    source: Source, out: Path, *, license: str | None = None, replace: bool = False, progress: Progress = silent
) -> DatasetNote:
    """Writes a data set to `out/{train,validation,test}/<class>/` and `out/dataset.json`, wholly or not at all.

    `license` goes before what the source says. An `out` that holds something is refused; with `replace`, one that was
    imported makes way. Raises `InputError`, `DataError` and `WriteError`.
    """
    _check_place(out, replace)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with atomic_folder(out) as folder:
        for done, photo in enumerate(source.photos(), start=1):
            path = folder / photo.split / photo.label / photo.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(photo.content)
            counts[photo.split][photo.label] += 1
            progress("importing", done, source.count)
        if not counts:
            raise DataError(f"{source.origin} has no photos to import")
        note = DatasetNote(
            name=source.name,
            source=source.origin,
            source_sha256=source.sha256,
            license=license or source.license,
            citation=source.citation,
            counts={
                split: dict(sorted(counts[split].items())) for split in (TRAIN, VALIDATION, TEST) if split in counts
            },
            created=datetime.now(UTC),
        )
        write_json(folder / NOTE_FILE, note.model_dump(mode="json"))
    return note


def _check_place(out: Path, replace: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file; expected a folder to make")
    if any(out.iterdir()) and not (replace and read_note(out)):
        imported = "; --force replaces it" if read_note(out) else ""
        raise InputError(f"{out} holds something already{imported or '; choose a folder that is not there yet'}")
