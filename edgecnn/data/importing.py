"""Import of data sets in other forms as folders of photos."""

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
from edgecnn.data.dataset_note import NOTE_FILE, DatasetNote, read_note
from edgecnn.data.npz import read_npz
from edgecnn.data.source import Source
from edgecnn.data.tfds import read_tfds


def open_source(text: str, *, labels: LabelMap | None = None, columns: Columns | None = None) -> Source:
    """Open the data set that a text names.

    Args:
        text: Path of an `.npz` or a `.csv`, or `tfds:NAME`.
        labels: Class names of an `.npz`, or of a table whose labels are numbers.
        columns: Columns of a `.csv`; the default names if None.

    Returns:
        The data set, ready to be imported.

    Raises:
        InputError: The text names no data set, or one that is invalid.
        MissingDependency: TensorFlow Datasets is needed and not installed.
    """
    if text.startswith(TFDS_PREFIX):
        if labels is not None:
            raise InputError(f"{text} already names its classes; remove the labels")
        return read_tfds(text.removeprefix(TFDS_PREFIX))
    path = Path(text)
    match path.suffix.lower():
        case ".npz":
            return read_npz(path, labels)
        case ".csv":
            return read_csv(path, labels, columns)
    raise InputError(
        f"cannot import from {text}: expected a file ending in {' or '.join(SOURCE_SUFFIXES)}, or the name of a "
        f"TensorFlow data set as {TFDS_PREFIX}NAME"
    )


def parse_label_names(text: str) -> LabelMap:
    """Parse the names of the classes.

    Args:
        text: Path of a file with one label per line, or the names separated by commas.

    Returns:
        The labels in this order.

    Raises:
        InputError: The text is neither, or the labels are invalid.
    """
    if Path(text).is_file():
        return read_labels(Path(text))
    if "," not in text:
        raise InputError(f"expected a file with one label per line, or names separated by commas, got {text!r}")
    return LabelMap(tuple(name.strip() for name in text.split(",")))


def import_dataset(
    source: Source, out: Path, *, license: str | None = None, replace: bool = False, progress: Progress = silent
) -> DatasetNote:
    """Write a data set to `out/{train,validation,test}/<class>/` and `out/dataset.json`, completely or not at all.

    Args:
        source: Data set to import.
        out: Folder to create; an existing one must be empty.
        license: Terms of use; overrides those of the source.
        replace: Replace an `out` that was imported before.
        progress: Called for each photo.

    Returns:
        The content of `out/dataset.json`.

    Raises:
        InputError: `out` cannot be used, or the source is invalid.
        DataError: The source has no photos.
        WriteError: The folder cannot be written.
    """
    _check_out(out, replace=replace)
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


def _check_out(out: Path, *, replace: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file; expected a folder to create")
    was_imported = read_note(out) is not None
    if any(out.iterdir()) and not (replace and was_imported):
        advice = "--force replaces it" if was_imported else "choose a folder that does not exist yet"
        raise InputError(f"{out} is not empty; {advice}")
