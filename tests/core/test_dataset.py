from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.dataset import (
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    Example,
    all_examples,
    require_trainable,
    scan_dataset,
    split_off,
    with_all_splits,
)
from edgecnn.core.errors import DataError
from edgecnn.core.labels import LabelMap


def write_photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


def write_photos(root: Path, *classes: str, photos: int = 2, first: int = 0) -> Path:
    for number, name in enumerate(classes):
        for index in range(photos):
            write_photo(root / name / f"{index}.png", seed=first + 100 * number + index)
    return root


# ---- scanning


def test_flat_folder_is_one_split_with_sorted_classes(tmp_path: Path) -> None:
    dataset = scan_dataset(write_photos(tmp_path, "owl", "cat"))
    assert dataset.labels.names == ("cat", "owl")
    assert dataset.counts == {TRAIN: 4}
    assert dataset.class_counts(TRAIN) == {"cat": 2, "owl": 2}
    assert [example.path.relative_to(tmp_path).as_posix() for example in dataset.splits[TRAIN]] == [
        "cat/0.png",
        "cat/1.png",
        "owl/0.png",
        "owl/1.png",
    ]


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_divided_folder_keeps_its_splits(validation: str, tmp_path: Path) -> None:
    for seed, (split, photos) in enumerate({"train": 3, validation: 2, "test": 1}.items()):
        write_photos(tmp_path / split, "cat", "owl", photos=photos, first=1000 * seed)
    assert scan_dataset(tmp_path).counts == {TRAIN: 6, VALIDATION: 4, TEST: 2}


def test_test_split_is_optional(tmp_path: Path) -> None:
    write_photos(tmp_path / "train", "cat", "owl")
    write_photos(tmp_path / "val", "cat", first=500)
    dataset = scan_dataset(tmp_path)
    assert dataset.counts == {TRAIN: 4, VALIDATION: 2}
    assert dataset.class_counts(VALIDATION) == {"cat": 2, "owl": 0}


def test_two_validation_folders_are_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "val"):
        write_photos(tmp_path / split, "cat", "owl")
    with pytest.raises(DataError, match="has both validation/ and val/; keep one"):
        scan_dataset(tmp_path)


def test_splits_without_train_are_not_mistaken_for_classes(tmp_path: Path) -> None:
    write_photos(tmp_path / "test", "cat", "owl")
    write_photos(tmp_path / "validation", "cat", "owl")
    with pytest.raises(DataError, match="has test, validation/ and no train/"):
        scan_dataset(tmp_path)


def test_class_may_be_named_test(tmp_path: Path) -> None:
    assert scan_dataset(write_photos(tmp_path, "quiz", "test")).labels.names == ("quiz", "test")


def test_undecodable_photos_are_listed_or_refused(tmp_path: Path) -> None:
    write_photos(tmp_path, "cat", "owl")
    empty, text, dangling = tmp_path / "cat" / "empty.jpg", tmp_path / "owl" / "TEXT.JPG", tmp_path / "owl" / "z.png"
    empty.write_bytes(b"")
    text.write_bytes(b"not an image")
    dangling.symlink_to(tmp_path / "absent.png")
    dataset = scan_dataset(tmp_path)
    assert dataset.unreadable == (empty, text, dangling)
    assert dataset.counts == {TRAIN: 4}
    with pytest.raises(DataError, match=r"3 of 7 photos cannot be decoded, the first is .*empty\.jpg"):
        scan_dataset(tmp_path, strict=True)


def test_hidden_files_other_files_and_folders_named_like_photos_are_ignored(tmp_path: Path) -> None:
    write_photos(tmp_path, "cat", "owl")
    for name in (".hidden.png", ".thumbnails/small.png"):
        write_photo(tmp_path / "cat" / name)
        write_photo(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("notes")
    (tmp_path / "cat" / "folder.png").mkdir()
    write_photo(tmp_path / "outside.png")
    dataset = scan_dataset(tmp_path, strict=True)
    assert (dataset.labels.names, dataset.counts) == (("cat", "owl"), {TRAIN: 4})


def test_photos_in_subfolders_belong_to_the_class(tmp_path: Path) -> None:
    write_photos(tmp_path, "cat", "owl")
    write_photo(tmp_path / "cat" / "2024" / "may.png", seed=7)
    assert scan_dataset(tmp_path).class_counts(TRAIN) == {"cat": 3, "owl": 2}


def test_expected_classes_set_the_order_and_exclude_others(tmp_path: Path) -> None:
    write_photos(tmp_path, "cat", "owl")
    dataset = scan_dataset(tmp_path, labels=LabelMap(("owl", "dog", "cat")))
    assert dataset.class_counts(TRAIN) == {"owl": 2, "dog": 0, "cat": 2}
    with pytest.raises(DataError, match=r"owl is not one of the 2 expected classes: cat, dog; rename"):
        scan_dataset(tmp_path, labels=LabelMap(("cat", "dog")))


def test_progress_is_reported_for_every_file(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    scan_dataset(write_photos(tmp_path, "cat", "owl"), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_error_for_folder_without_photos_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        scan_dataset(tmp_path / "absent")
    with pytest.raises(DataError, match="no such folder"):
        scan_dataset(write_photo(tmp_path / "photo.png"))
    with pytest.raises(DataError, match="has no class folders; expected photos in"):
        scan_dataset(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="has no photos in its class folders"):
        scan_dataset(tmp_path)


def test_training_needs_two_classes_with_two_readable_photos_each(tmp_path: Path) -> None:
    write_photos(tmp_path, "cat")
    with pytest.raises(DataError, match="has one class, 'cat'; a classifier needs at least two"):
        require_trainable(scan_dataset(tmp_path))
    write_photos(tmp_path, "owl", photos=1, first=50)
    (tmp_path / "owl" / "broken.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="class 'owl' has 1 readable training photos"):
        require_trainable(scan_dataset(tmp_path))
    write_photo(tmp_path / "owl" / "second.png", seed=51)
    require_trainable(scan_dataset(tmp_path))


# ---- fingerprint


def test_fingerprint_does_not_depend_on_location_or_names_of_photos(tmp_path: Path) -> None:
    before = scan_dataset(write_photos(tmp_path / "a", "cat", "owl")).fingerprint
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    os.rename(tmp_path / "b" / "cat" / "0.png", tmp_path / "b" / "cat" / "z.png")
    assert scan_dataset(tmp_path / "b").fingerprint == before


def test_fingerprint_depends_on_content_class_split_and_number(tmp_path: Path) -> None:
    original = write_photos(tmp_path / "original", "cat", "owl")
    fingerprints = [scan_dataset(original).fingerprint]

    def copy_as(name: str) -> Path:
        return Path(shutil.copytree(original, tmp_path / name))

    write_photo(copy_as("content") / "cat" / "0.png", seed=999)
    os.rename(copy_as("class") / "cat", tmp_path / "class" / "dog")
    shutil.copytree(original, tmp_path / "split" / "train")
    os.renames(tmp_path / "split" / "train" / "cat" / "1.png", tmp_path / "split" / "test" / "cat" / "1.png")
    shutil.copy(copy_as("number") / "cat" / "0.png", tmp_path / "number" / "cat" / "again.png")
    fingerprints += [scan_dataset(tmp_path / name).fingerprint for name in ("content", "class", "split", "number")]
    assert len(set(fingerprints)) == 5


# ---- splitting

digests = st.integers(0, 40).map(lambda number: f"{number:064x}")
photos = st.lists(st.tuples(st.integers(0, 3), digests), min_size=1, max_size=120).map(
    lambda pairs: [Example(Path(f"{index}.jpg"), label, digest) for index, (label, digest) in enumerate(pairs)]
)
fractions = st.floats(0, 0.99)


@given(photos, fractions, st.integers(0, 10))
def test_the_two_sides_are_disjoint_and_complete(examples: list[Example], fraction: float, seed: int) -> None:
    kept, taken = split_off(examples, fraction, seed)
    assert sorted(kept + taken) == sorted(examples)
    assert not {(one.label, one.sha256) for one in kept} & {(one.label, one.sha256) for one in taken}


@given(photos, fractions, st.integers(0, 10))
def test_every_class_gives_about_its_fraction_but_never_all(
    examples: list[Example], fraction: float, seed: int
) -> None:
    kept, taken = split_off(examples, fraction, seed)

    def distinct(side: tuple[Example, ...]) -> Counter[int]:
        return Counter(label for label, _ in {(one.label, one.sha256) for one in side})

    for label in {example.label for example in examples}:
        remaining, split = distinct(kept)[label], distinct(taken)[label]
        assert remaining >= 1
        assert split == 0 if remaining + split == 1 else split >= 1
        assert abs(split - fraction * (remaining + split)) <= 1


@given(photos, fractions, st.integers(0, 10), st.randoms())
def test_division_does_not_depend_on_names_or_order(
    examples: list[Example], fraction: float, seed: int, random: np.random.Generator
) -> None:
    renamed = [example._replace(path=Path(f"other/{example.path}")) for example in examples]
    random.shuffle(renamed)
    sides = split_off(examples, fraction, seed), split_off(renamed, fraction, seed)
    before, after = ({(one.label, one.sha256) for one in taken} for _, taken in sides)
    assert before == after


def test_other_seed_gives_another_division() -> None:
    examples = [Example(Path(f"{index}.jpg"), 0, f"{index:064x}") for index in range(40)]
    splits = [split_off(examples, 0.5, seed) for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def make_dataset(**counts: int) -> Dataset:
    splits = {
        name: tuple(Example(Path(f"{name}/{i}.jpg"), i % 2, f"{name}{i}") for i in range(count))
        for name, count in counts.items()
    }
    return Dataset(Path("data"), LabelMap(("cat", "owl")), splits)


def test_undivided_folder_gets_validation_and_test() -> None:
    whole = make_dataset(train=200)
    divided = with_all_splits(whole, validation_fraction=0.1, test_fraction=0.2, seed=0)
    assert divided.counts == {TRAIN: 144, TEST: 40, VALIDATION: 16}
    assert sorted(all_examples(divided)) == sorted(all_examples(whole))
    assert divided == with_all_splits(whole, validation_fraction=0.1, test_fraction=0.2, seed=0)


def test_no_test_split_is_created_for_fraction_zero_or_divided_folder() -> None:
    undivided = with_all_splits(make_dataset(train=200), validation_fraction=0.1, test_fraction=0, seed=0)
    assert undivided.counts == {TRAIN: 180, VALIDATION: 20}
    divided = with_all_splits(
        make_dataset(train=200, validation=20), validation_fraction=0.1, test_fraction=0.2, seed=0
    )
    assert divided == make_dataset(train=200, validation=20)


def test_folder_with_test_split_keeps_it_and_gets_validation() -> None:
    divided = with_all_splits(make_dataset(train=200, test=30), validation_fraction=0.1, test_fraction=0.2, seed=0)
    assert divided.counts == {TRAIN: 180, TEST: 30, VALIDATION: 20}
    assert divided.splits[TEST] == make_dataset(test=30).splits[TEST]
