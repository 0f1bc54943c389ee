from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data.dataset_note import read_note
from tests.cli.commands import json_of, refusal, run_here
from tests.data.scenes import scene, write_picture, write_scenes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with one photo in two splits and seven tiny photos."""
    root = tmp_path / "photos"
    write_scenes(root / "train")
    write_scenes(root / "test", count=2, first=5000)
    shutil.copy(root / "train" / "cat" / "000.png", root / "test" / "cat" / "x.png")
    for number in range(7):
        write_picture(root / "train" / "cat" / f"tiny{number}.png", scene(900 + number, 24, 24))
    return root


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    np.savez(path, x_train=pictures, y_train=[0, 1, 0, 1], x_test=pictures[:2], y_test=[0, 1])
    return path


# ---- check


def test_a_check_counts_by_kind_and_shows_the_first_of_each(photos: Path) -> None:
    outcome = run_here("data", "check", photos)
    assert outcome.status == 0
    assert "2 classes, photos: 47 in train, 5 in test" in outcome.stdout
    assert "duplicate_across_splits" in outcome.stdout
    lines = outcome.stdout.splitlines()
    where = lines.index("duplicate_across_splits: 2 copies of one photo, in train and test")
    assert lines[where + 1 : where + 3] == [f"  {photos}/train/cat/000.png", f"  {photos}/test/cat/x.png"]
    tiny = [line for line in lines if line.startswith("tiny: ")]
    assert tiny[0] == f"tiny: {photos}/train/cat/tiny0.png: 24x24 pixels, below 32"
    assert (len(tiny), tiny[5]) == (6, "tiny: ... and 2 more; list them with --all")


def test_all_lists_every_finding(photos: Path) -> None:
    lines = run_here("data", "check", photos, "--all").stdout.splitlines()
    assert len([line for line in lines if line.startswith("tiny: ")]) == 7
    assert not any("more" in line for line in lines)


def test_all_lists_every_photo_of_a_large_group(photos: Path) -> None:
    for number in range(6):
        shutil.copy(photos / "train" / "cat" / "000.png", photos / "train" / "cat" / f"y{number}.png")
    few = run_here("data", "check", photos).stdout.splitlines()
    start = few.index("duplicate_across_splits: 8 copies of one photo, in train and test")
    assert few[start + 6] == "  ... and 3 more; list them with --all"
    every = run_here("data", "check", photos, "--all").stdout
    assert f"  {photos}/test/cat/x.png" in every and "more" not in every


def test_the_json_of_a_check_is_one_object(photos: Path) -> None:
    record = json_of("data", "check", photos)
    assert set(record) == {"data", "photos", "errors", "warnings", "notes", "findings"}
    assert (record["data"], record["errors"], record["warnings"]) == (str(photos), 1, 7)
    assert all(set(finding) == {"kind", "severity", "message", "photos", "advice"} for finding in record["findings"])


def test_strict_fails_after_the_findings_are_printed(photos: Path) -> None:
    outcome = run_here("data", "check", photos, "--strict", "--json")
    assert outcome.status == 3
    assert json.loads(outcome.stdout)["errors"] == 1
    assert outcome.errors == [
        f"error: {photos} has errors: 1 duplicate_across_splits; fix them, or check without --strict"
    ]
    (photos / "test" / "cat" / "x.png").unlink()
    assert run_here("data", "check", photos, "--strict").status == 0


def test_a_folder_without_problems_has_no_findings(tmp_path: Path) -> None:
    assert run_here("data", "check", write_scenes(tmp_path)).stdout.splitlines()[-1] == "no findings"


def test_a_check_of_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal("data", "check", tmp_path / "absent").startswith("no such folder")


# ---- import


def test_an_import_shows_the_photos_of_each_class_and_names_the_license(npz: Path, tmp_path: Path) -> None:
    outcome = run_here("data", "import", npz, "--out", tmp_path / "out", "--labels", "cat,owl", "--license", "CC0")
    assert outcome.status == 0
    assert "cat" in outcome.stdout and "owl" in outcome.stdout
    assert outcome.log[-2:] == ["license: CC0", f"{tmp_path}/out is ready: edgecnn data check {tmp_path}/out"]
    assert run_here("data", "check", tmp_path / "out").status == 0


def test_an_unknown_license_is_reported(npz: Path, tmp_path: Path) -> None:
    outcome = run_here("data", "import", npz, "--out", tmp_path / "out")
    assert "license: unknown; find out under which terms you may use these photos" in outcome.log


def test_the_json_of_an_import_is_the_content_of_its_note(npz: Path, tmp_path: Path) -> None:
    record = json_of("data", "import", npz, "--out", tmp_path / "out")
    note = read_note(tmp_path / "out")
    assert note is not None
    assert record == {"out": str(tmp_path / "out"), **note.model_dump(mode="json")}


def test_a_table_is_imported_by_the_named_columns(tmp_path: Path) -> None:
    write_scenes(tmp_path / "raw", count=1)
    (tmp_path / "t.csv").write_text("file;animal;fold\nraw/cat/000.png;cat;train\nraw/owl/000.png;owl;val\n")
    options = ("--path-column", "file", "--label-column", "animal", "--split-column", "fold")
    record = json_of("data", "import", tmp_path / "t.csv", "--out", tmp_path / "out", *options)
    assert record["counts"] == {"train": {"cat": 1}, "validation": {"owl": 1}}
    assert "unknown column" in refusal("data", "import", tmp_path / "t.csv", "--out", tmp_path / "other")


def test_force_replaces_an_import(npz: Path, tmp_path: Path) -> None:
    assert run_here("data", "import", npz, "--out", tmp_path / "out").status == 0
    assert "--force replaces it" in refusal("data", "import", npz, "--out", tmp_path / "out")
    assert run_here("data", "import", npz, "--out", tmp_path / "out", "--force").status == 0
