from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import DataError, GateFailed
from edgecnn.data.check import DataCheck, check_folder, check_record, check_scanned, enforce
from edgecnn.data.finding import MEANINGS, Finding, Kind
from tests.data.scenes import scene, write_picture, write_scenes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write a folder without defects: three splits, two classes, at least 20 training photos of each."""
    for number, (split, count) in enumerate({"train": 20, "validation": 3, "test": 3}.items()):
        write_scenes(tmp_path / "photos" / split, count=count, first=10_000 * number)
    return tmp_path / "photos"


def copied(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, target))


def only_finding(root: Path, kind: Kind) -> Finding:
    """Return the only finding of a folder, which must be of this kind."""
    findings = check_folder(root).findings
    assert [finding.kind for finding in findings] == [kind]
    assert (findings[0].severity, findings[0].advice) == MEANINGS[kind]
    assert "\n" not in findings[0].message
    return findings[0]


def names(finding: Finding, root: Path) -> list[str]:
    return [photo.path.relative_to(root).as_posix() for photo in finding.photos]


def test_a_folder_without_defects_has_no_findings(photos: Path) -> None:
    check = check_folder(photos)
    assert check.findings == ()
    enforce(check)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        check_folder(tmp_path / "absent")


# ---- files


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty file"), (b"<html>404</html>", "not an image"), (b"GIF89a??", "GIF that cannot")],
)
def test_a_file_that_cannot_be_decoded_is_named_with_the_reason(content: bytes, message: str, photos: Path) -> None:
    (photos / "train" / "cat" / "bad.jpg").write_bytes(content)
    finding = only_finding(photos, "unreadable")
    assert names(finding, photos) == ["train/cat/bad.jpg"]
    assert finding.message.startswith(message)


def test_a_dangling_link_is_unreadable(photos: Path) -> None:
    (photos / "train" / "cat" / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    assert only_finding(photos, "unreadable").message == "cannot be read: No such file or directory"


@pytest.mark.parametrize("tail", [b"", bytes(400)], ids=["cannot be decoded", "can be decoded"])
def test_a_truncated_photo_is_found_whether_or_not_it_can_be_decoded(tail: bytes, photos: Path) -> None:
    path = write_picture(photos / "train" / "cat" / "cut.jpg", scene(77))
    path.write_bytes(path.read_bytes()[:-2] + tail)
    finding = only_finding(photos, "truncated")
    assert names(finding, photos) == ["train/cat/cut.jpg"]


def test_an_extension_that_contradicts_the_content_is_reported(photos: Path) -> None:
    path = write_picture(photos / "train" / "cat" / "a.png", scene(77))
    path.rename(path.with_suffix(".JPG"))
    write_picture(photos / "train" / "cat" / "b.JPEG", scene(78))
    finding = only_finding(photos, "wrong_extension")
    assert (names(finding, photos), finding.message) == (["train/cat/a.JPG"], "contains PNG, but its extension is .jpg")


def test_photos_that_training_ignores_are_reported_with_the_reason(photos: Path) -> None:
    strays = [photos / "stray.jpg", photos / "train" / "loose.png"]
    for number, path in enumerate(strays):
        write_picture(path, scene(80 + number))
    unnamed = write_picture(photos / "train" / "cat" / "c.png", scene(82)).rename(photos / "train" / "cat" / "copy")
    (photos / "train" / "cat" / "phone.heic").write_bytes(b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    (photos / "train" / "cat" / ".hidden.png").write_bytes(unnamed.read_bytes())
    (photos / "notes.txt").write_text("notes")
    messages = {
        str(finding.photos[0].path.relative_to(photos)): finding.message for finding in check_folder(photos).findings
    }
    assert messages == {
        "stray.jpg": "not in a class folder",
        "train/loose.png": "not in a class folder",
        "train/cat/copy": "contains PNG, but training does not read its extension",
        "train/cat/phone.heic": "contains HEIC, but training does not read its extension",
    }


@pytest.mark.parametrize(("height", "width", "message"), [(31, 40, "40x31 pixels, below 32"), (40, 31, "31x40 pixels")])
def test_a_photo_with_a_short_side_is_tiny(height: int, width: int, message: str, photos: Path) -> None:
    write_picture(photos / "train" / "owl" / "small.png", scene(90, height, width))
    write_picture(photos / "train" / "owl" / "enough.png", scene(91, 32, 40))
    assert only_finding(photos, "tiny").message.startswith(message)


def test_the_limit_for_tiny_photos_can_be_set(photos: Path) -> None:
    assert Counter(finding.kind for finding in check_folder(photos, min_side_px=41).findings) == {"tiny": 52}


def test_a_long_strip_is_extreme(photos: Path) -> None:
    write_picture(photos / "train" / "owl" / "strip.png", scene(92, 40, 164))
    write_picture(photos / "train" / "owl" / "four_to_one.png", scene(93, 40, 160))
    assert only_finding(photos, "extreme_aspect").message == "164x40 pixels, 4.1 to 1"


# ---- copies


def test_a_copy_in_another_split_is_an_error_that_lists_all_copies(photos: Path) -> None:
    original = photos / "train" / "cat" / "000.png"
    copied(original, photos / "test" / "cat" / "x.png")
    copied(original, photos / "train" / "cat" / "y.png")
    finding = only_finding(photos, "duplicate_across_splits")
    assert finding.message == "3 copies of one photo, in train and test"
    assert names(finding, photos) == ["train/cat/000.png", "train/cat/y.png", "test/cat/x.png"]
    assert [(photo.split, photo.label) for photo in finding.photos] == [
        ("train", "cat"),
        ("train", "cat"),
        ("test", "cat"),
    ]


def test_a_copy_in_another_class_is_a_conflict(photos: Path) -> None:
    copied(photos / "train" / "cat" / "000.png", photos / "train" / "owl" / "x.png")
    assert only_finding(photos, "duplicate_label_conflict").message == "2 copies of one photo, labeled cat and owl"


def test_a_copy_in_another_class_and_split_has_two_findings(photos: Path) -> None:
    copied(photos / "train" / "cat" / "000.png", photos / "test" / "owl" / "x.png")
    kinds = [finding.kind for finding in check_folder(photos).findings]
    assert kinds == ["duplicate_across_splits", "duplicate_label_conflict"]


def test_a_copy_in_its_own_class_is_a_warning(photos: Path) -> None:
    copied(photos / "train" / "cat" / "000.png", photos / "train" / "cat" / "x.png")
    finding = only_finding(photos, "duplicate")
    assert finding.severity == "warning"
    enforce(check_folder(photos))


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("train/cat", "near_duplicate"),
        ("test/cat", "near_duplicate_across_splits"),
        ("train/owl", "near_duplicate_label_conflict"),
    ],
)
def test_a_reencoded_photo_is_a_near_duplicate(folder: str, kind: Kind, photos: Path) -> None:
    write_picture(photos / "train" / "cat" / "original.png", scene(95))
    write_picture(photos / folder / "again.jpg", scene(95), cv2.IMWRITE_JPEG_QUALITY, 60)
    finding = only_finding(photos, kind)
    assert set(names(finding, photos)) == {"train/cat/original.png", f"{folder}/again.jpg"}


def test_exact_copies_are_listed_in_the_near_duplicate_group(photos: Path) -> None:
    original = write_picture(photos / "train" / "cat" / "original.png", scene(95))
    copied(original, photos / "train" / "cat" / "copy.png")
    write_picture(photos / "train" / "cat" / "again.jpg", scene(95))
    exact, near = check_folder(photos).findings
    assert (exact.kind, len(exact.photos)) == ("duplicate", 2)
    assert (near.kind, near.message) == ("near_duplicate", "3 photos that look the same, labeled cat")


# ---- classes


def test_a_class_without_training_photos_is_an_error(photos: Path) -> None:
    shutil.rmtree(photos / "train" / "owl")
    kinds = {finding.kind: finding for finding in check_folder(photos).findings}
    assert "class 'owl' has 0 readable training photos" in kinds["untrainable"].message


def test_a_class_missing_from_a_split_is_reported(photos: Path) -> None:
    shutil.rmtree(photos / "test" / "owl")
    assert only_finding(photos, "missing_class").message == "class 'owl' has no photos in test"


def test_a_class_with_few_photos_is_reported(photos: Path) -> None:
    (photos / "train" / "owl" / "000.png").unlink()
    assert only_finding(photos, "few_photos").message == "class 'owl' has 19 training photos, fewer than 20"


@pytest.mark.parametrize(("cats", "severity"), [(39, None), (40, "note"), (200, "warning")])
def test_uneven_classes_are_a_note_or_from_ten_to_one_a_warning(cats: int, severity: str | None, photos: Path) -> None:
    for index in range(20, cats):
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)
        write_picture(photos / "train" / "cat" / f"{index}.png", pixels)
    findings = check_scanned(scan_dataset(photos))
    assert [(finding.kind, finding.severity) for finding in findings] == ([("imbalance", severity)] if severity else [])
    if cats == 200:
        expected = "200 photos of 'cat' to 20 of 'owl', 10.0 to 1; always answering 'cat' would be right for 91%"
        assert findings[0].message == expected


# ---- all of it


@pytest.fixture
def faulty(photos: Path) -> DataCheck:
    copied(photos / "train" / "cat" / "000.png", photos / "test" / "cat" / "x.png")
    copied(photos / "train" / "cat" / "001.png", photos / "train" / "cat" / "x.png")
    (photos / "train" / "owl" / "bad.jpg").write_bytes(b"")
    write_picture(photos / "train" / "owl" / "small.png", scene(90, 24, 24))
    return check_folder(photos)


def test_the_scan_alone_finds_unreadable_files_and_copies(faulty: DataCheck) -> None:
    kinds = [finding.kind for finding in check_scanned(faulty.dataset)]
    assert kinds == ["unreadable", "duplicate_across_splits", "duplicate"]


def test_the_most_pressing_finding_comes_first(faulty: DataCheck) -> None:
    kinds = [finding.kind for finding in faulty.findings]
    assert kinds == ["unreadable", "duplicate_across_splits", "duplicate", "tiny"]
    assert (faulty.count("error"), faulty.count("warning"), faulty.count("note")) == (2, 2, 0)


def test_the_gate_names_the_errors_and_lets_warnings_pass(faulty: DataCheck) -> None:
    with pytest.raises(GateFailed, match="has errors: 1 unreadable, 1 duplicate_across_splits; fix them"):
        enforce(faulty)


def test_the_record_contains_the_counts_and_every_photo_of_a_finding(faulty: DataCheck) -> None:
    record = check_record(faulty)
    root = faulty.dataset.root
    assert record["photos"]["train"] == {"cat": 21, "owl": 21}
    assert (record["errors"], record["warnings"], record["notes"]) == (2, 2, 0)
    assert record["findings"][0] == {
        "kind": "unreadable",
        "severity": "error",
        "message": "empty file",
        "photos": [{"path": str(root / "train" / "owl" / "bad.jpg"), "split": None, "label": None}],
        "advice": MEANINGS["unreadable"].advice,
    }


def test_each_of_the_three_rounds_reports_progress(photos: Path) -> None:
    last: dict[str, tuple[int, int]] = {}

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        last[task] = (done, total)

    check_folder(photos, progress=progress)
    assert last == dict.fromkeys(("reading photos", "inspecting photos", "comparing photos"), (52, 52))
