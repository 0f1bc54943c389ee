from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecnn.bench.photos import photos_to_measure
from edgecnn.core.dataset import TEST, scan_dataset, with_all_splits
from edgecnn.core.errors import DataError, InputError, UnknownName
from edgecnn.core.model_file.card import DatasetRecord
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.run.run_folder import ExecutionRecord, RunFolder, RunRecord, write_run
from edgecnn.core.settings.command_settings import TrainSettings
from tests.colors import COLORS, write_color, write_color_photos


def split_photos(folder: Path) -> Path:
    """Write photos in three splits, with a different number per class in each."""
    for split, count in (("train", 4), ("val", 3), ("test", 2)):
        write_color_photos(folder / split, count)
    return folder


def model_of_a_run(folder: Path, photos: Path) -> Path:
    """Return the path of a model of a run that was trained on `photos`; the file need not exist."""
    settings = TrainSettings(seed=3)
    dataset = with_all_splits(
        scan_dataset(photos),
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )
    run = RunFolder(folder)
    record = RunRecord(
        name=folder.name,
        created=datetime(2024, 2, 29, 12, tzinfo=UTC),
        status="complete",
        backbone="none",
        settings=settings,
        preprocess=PreprocessSpec(height=1, width=1, mean=(0,) * 3, std=(1,) * 3),
        labels=dataset.labels.names,
        data=photos.resolve(),
        dataset=DatasetRecord(fingerprint=dataset.fingerprint, counts=dataset.counts),
        class_counts={split: dataset.class_counts(split) for split in dataset.splits},
        execution=ExecutionRecord(device="CPU", replicas=1, workers=1, mixed_precision=False, xla=False),
    )
    write_run(run, record)
    run.export.mkdir()
    return run.model_file(folder.name, "int8")


def test_a_folder_with_splits_is_measured_on_its_test_photos(tmp_path: Path) -> None:
    photos = photos_to_measure(tmp_path / "m.tflite", split_photos(tmp_path / "data"), None)
    assert photos.labels.names == tuple(sorted(COLORS))
    assert {path.path.parent.parent.name for path in photos.examples} == {"test"}
    assert len(photos.examples) == 6


def test_a_folder_without_splits_is_measured_on_every_photo(tmp_path: Path) -> None:
    photos = photos_to_measure(tmp_path / "m.tflite", write_color_photos(tmp_path / "data", 5), None)
    assert len(photos.examples) == 15


@pytest.mark.parametrize(("split", "count"), [("train", 12), ("validation", 9), ("test", 6), ("all", 27)])
def test_a_split_can_be_chosen(split: str, count: int, tmp_path: Path) -> None:
    photos = photos_to_measure(tmp_path / "m.tflite", split_photos(tmp_path / "data"), split)
    assert len(photos.examples) == count


def test_an_unknown_split_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown split 'tests': did you mean 'test'"):
        photos_to_measure(tmp_path / "m.tflite", split_photos(tmp_path / "data"), "tests")


def test_a_model_in_a_run_is_measured_on_photos_that_the_run_was_not_trained_on(tmp_path: Path) -> None:
    data = write_color_photos(tmp_path / "data", 20)
    model = model_of_a_run(tmp_path / "run", data)
    held_out = photos_to_measure(model, None, None)
    assert len(held_out.examples) == 9
    trained_on = photos_to_measure(model, None, "train")
    assert not {each.sha256 for each in held_out.examples} & {each.sha256 for each in trained_on.examples}
    assert photos_to_measure(model, None, TEST) == held_out


def test_the_data_of_the_run_is_split_like_the_run_even_if_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_color_photos(tmp_path / "data", 20)
    model = model_of_a_run(tmp_path / "run", data)
    monkeypatch.chdir(tmp_path)
    assert photos_to_measure(model, Path("data"), None) == photos_to_measure(model, None, None)


def test_another_folder_is_measured_completely(tmp_path: Path) -> None:
    model = model_of_a_run(tmp_path / "run", write_color_photos(tmp_path / "data", 20))
    other = write_color_photos(tmp_path / "other", 4)
    assert len(photos_to_measure(model, other, None).examples) == 12


def test_photos_that_changed_since_the_run_are_refused(tmp_path: Path) -> None:
    data = write_color_photos(tmp_path / "data", 20)
    model = model_of_a_run(tmp_path / "run", data)
    write_color(data / "red" / "new.png", 0, 99)
    with pytest.raises(DataError, match="are not those that run was trained on"):
        photos_to_measure(model, None, None)


def test_a_model_outside_a_run_needs_photos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not in a run folder: give DATA"):
        photos_to_measure(tmp_path / "m.tflite", None, None)


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    model = model_of_a_run(tmp_path / "run", write_color_photos(tmp_path / "data", 5))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"format_version": 1}))
    with pytest.raises(InputError, match="is a run folder of version 1"):
        photos_to_measure(model, None, None)


def test_unreadable_photos_are_named_or_refused(tmp_path: Path) -> None:
    data = write_color_photos(tmp_path / "data", 2)
    broken = data / "red" / "broken.png"
    broken.write_bytes(b"")
    photos = photos_to_measure(tmp_path / "m.tflite", data, None)
    assert (len(photos.examples), photos.unreadable) == (6, (broken,))
    with pytest.raises(DataError, match="1 of 7 photos cannot be decoded"):
        photos_to_measure(tmp_path / "m.tflite", data, None, strict=True)


def test_progress_is_reported_with_the_name_of_the_task(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    photos_to_measure(
        tmp_path / "m.tflite",
        write_color_photos(tmp_path / "data", 1),
        None,
        progress=lambda task, done, total, detail="": reports.append((task, done, total)),
    )
    assert reports == [("reading photos", done, 3) for done in (1, 2, 3)]
