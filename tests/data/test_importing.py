from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import DataError, InputError
from edgecnn.core.labels import LabelMap
from edgecnn.data.dataset_note import NOTE_FILE, read_note
from edgecnn.data.importing import import_dataset, open_source, parse_label_names
from edgecnn.data.source import Photo, Source


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (8, 8, 8), np.uint8)
    labels = np.arange(8) % 2
    np.savez(path, x_train=pictures, y_train=labels, x_test=pictures[:2], y_test=labels[:2])
    return path


def failing(source: Source, error: BaseException) -> Source:
    """Return the same source, which raises an error after one photo."""

    def photos() -> Iterator[Photo]:
        yield next(source.photos())
        raise error

    return replace(source, photos=photos)


def test_an_imported_folder_records_its_origin(npz: Path, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    note = import_dataset(open_source(str(npz)), tmp_path / "new" / "out", license="mine alone")
    assert read_note(tmp_path / "new" / "out") == note
    assert note.source_sha256 == hashlib.sha256(npz.read_bytes()).hexdigest()
    assert (note.license, note.citation) == ("mine alone", None)
    assert before <= note.created <= datetime.now(UTC)
    assert scan_dataset(tmp_path / "new" / "out", strict=True).class_counts("train") == note.counts["train"]


def test_the_same_source_gives_the_same_photos(npz: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        import_dataset(open_source(str(npz)), tmp_path / name)
    files = [sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")) for name in ("a", "b")]
    assert files[0] == files[1]
    assert scan_dataset(tmp_path / "a").fingerprint == scan_dataset(tmp_path / "b").fingerprint


@pytest.mark.parametrize("error", [InputError("a bad photo"), KeyboardInterrupt()])
def test_a_failed_import_leaves_nothing(error: BaseException, npz: Path, tmp_path: Path) -> None:
    with pytest.raises(type(error)):
        import_dataset(failing(open_source(str(npz)), error), tmp_path / "out")
    assert list(tmp_path.iterdir()) == [npz]


@pytest.mark.parametrize("error", [InputError("a bad photo"), KeyboardInterrupt()])
def test_a_failed_import_over_another_keeps_the_previous_one(error: BaseException, npz: Path, tmp_path: Path) -> None:
    note = import_dataset(open_source(str(npz)), tmp_path / "out")
    with pytest.raises(type(error)):
        import_dataset(failing(open_source(str(npz)), error), tmp_path / "out", replace=True)
    assert read_note(tmp_path / "out") == note
    assert scan_dataset(tmp_path / "out").counts == {"train": 8, "test": 2}
    assert sorted(tmp_path.iterdir()) == [npz, tmp_path / "out"]


def test_an_empty_folder_is_accepted_and_a_filled_one_is_refused(npz: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    import_dataset(open_source(str(npz)), tmp_path / "out")
    with pytest.raises(InputError, match="out is not empty; --force replaces it"):
        import_dataset(open_source(str(npz)), tmp_path / "out")


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_was_not_imported_is_never_replaced(replace: bool, npz: Path, tmp_path: Path) -> None:
    photo = tmp_path / "out" / "cat" / "mine.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_text("mine")
    (tmp_path / "out" / NOTE_FILE).write_text(json.dumps({"name": "another program's"}))
    with pytest.raises(InputError, match="is not empty; choose a folder that does not exist yet"):
        import_dataset(open_source(str(npz)), tmp_path / "out", replace=replace)
    assert photo.read_text() == "mine"
    with pytest.raises(InputError, match="is a file; expected a folder"):
        import_dataset(open_source(str(npz)), photo, replace=replace)


def test_importing_again_removes_the_previous_photos(npz: Path, tmp_path: Path) -> None:
    import_dataset(open_source(str(npz), labels=LabelMap(("cat", "owl"))), tmp_path / "out")
    import_dataset(open_source(str(npz)), tmp_path / "out", replace=True)
    assert scan_dataset(tmp_path / "out").labels.names == ("0", "1")


def test_a_source_without_photos_is_refused(npz: Path, tmp_path: Path) -> None:
    empty = replace(open_source(str(npz)), photos=lambda: iter(()))
    with pytest.raises(DataError, match=r"mine\.npz has no photos to import"):
        import_dataset(empty, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_photo_reports_progress(npz: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        calls.append((task, done, total))

    import_dataset(open_source(str(npz)), tmp_path / "out", progress=progress)
    assert calls == [("importing", done, 10) for done in range(1, 11)]


@pytest.mark.parametrize("text", ["mnist", "photos.zip", "photos"])
def test_an_unknown_source_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=rf"cannot import from {text}: expected a file ending in \.npz or \.csv"):
        open_source(text)


def test_label_names_come_from_a_file_or_a_list(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\nowl, gray\n")
    assert parse_label_names(str(tmp_path / "labels.txt")).names == ("cat", "owl, gray")
    assert parse_label_names("cat, owl").names == ("cat", "owl")
    with pytest.raises(InputError, match="expected a file with one label per line, or names separated by commas"):
        parse_label_names("labels.txt")
