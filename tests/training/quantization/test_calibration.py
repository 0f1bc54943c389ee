from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.dataset import Example, scan_dataset
from edgecnn.core.errors import DataError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import PreprocessSpec, preprocess
from edgecnn.training.quantization import calibration
from edgecnn.training.quantization.calibration import Calibration, calibrate_with, calibrate_with_folder

SPEC = PreprocessSpec(height=16, width=16, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


@pytest.fixture(scope="module")
def examples(few_digits: Path) -> tuple[Example, ...]:
    return scan_dataset(few_digits).splits["train"]


def assert_same(one: Calibration, other: Calibration) -> None:
    assert one.record == other.record
    np.testing.assert_array_equal(one.images, other.images)


def test_the_choice_depends_on_the_seed(examples: tuple[Example, ...]) -> None:
    assert_same(calibrate_with(examples, SPEC, 6, seed=1), calibrate_with(examples, SPEC, 6, seed=1))
    one, other = (calibrate_with(examples, SPEC, 6, seed).record for seed in (1, 2))
    assert one.fingerprint != other.fingerprint
    assert (one.seed, other.seed) == (1, 2)


def test_the_choice_does_not_depend_on_names_or_order(examples: tuple[Example, ...], tmp_path: Path) -> None:
    renamed = []
    for number, example in enumerate(examples):
        path = tmp_path / f"{len(examples) - number:03d}.png"
        shutil.copy(example.path, path)
        renamed.append(example._replace(path=path))
    assert_same(calibrate_with(examples, SPEC, 7, seed=0), calibrate_with(sorted(renamed), SPEC, 7, seed=0))


def test_calibration_images_are_preprocessed_photos(examples: tuple[Example, ...]) -> None:
    calibration_of_all = calibrate_with(examples, SPEC, len(examples), seed=0)
    expected = {preprocess(read_image(example.path), SPEC).tobytes() for example in examples}
    assert {image.tobytes() for image in calibration_of_all.images} == expected


@pytest.mark.parametrize("count", [1, 5, 36, 1000])
def test_the_number_of_images_is_limited_by_the_count_and_the_photos(examples: tuple[Example, ...], count: int) -> None:
    chosen = calibrate_with(examples, SPEC, count, seed=0)
    assert len(chosen.images) == chosen.record.count == min(count, len(examples))


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=5), count=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_classes_alternate(sizes: list[int], count: int, seed: int) -> None:
    photos = [
        Example(Path(f"{label}/{index}.png"), label, f"{label}-{index}")
        for label, size in enumerate(sizes)
        for index in range(size)
    ]
    taken: list[Path] = []

    def prepared(chosen: list[tuple[Path, str]], spec: PreprocessSpec, seed: int) -> None:
        taken.extend(path for path, _ in chosen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "_prepare", prepared)
        calibrate_with(photos, SPEC, count, seed)
    assert len(set(taken)) == len(taken) == min(count, len(photos))
    tally = Counter(int(path.parent.name) for path in taken)
    largest = max(tally.values())
    # A class may have one photo less than the largest, because of the last round; otherwise it has no more photos.
    assert all(tally[label] >= min(largest - 1, size) for label, size in enumerate(sizes))


# ---- a folder


def test_subfolders_are_searched(examples: tuple[Example, ...], few_digits: Path) -> None:
    from_folder = calibrate_with_folder(few_digits / "train", SPEC, 1000, seed=0)
    assert from_folder.record.count == len(examples)
    assert from_folder.record.fingerprint == calibrate_with(examples, SPEC, 1000, seed=0).record.fingerprint


def test_the_choice_from_a_folder_depends_on_content_and_seed(
    examples: tuple[Example, ...], few_digits: Path, tmp_path: Path
) -> None:
    for number, example in enumerate(examples):
        shutil.copy(example.path, tmp_path / f"{len(examples) - number}.PNG")
    chosen = calibrate_with_folder(few_digits / "train", SPEC, 5, seed=3)
    assert_same(chosen, calibrate_with_folder(tmp_path, SPEC, 5, seed=3))
    assert chosen.record.fingerprint != calibrate_with_folder(tmp_path, SPEC, 5, seed=4).record.fingerprint


def test_hidden_files_and_other_files_are_skipped(few_digits: Path, tmp_path: Path) -> None:
    photo = next((few_digits / "train" / "0").iterdir())
    shutil.copy(photo, tmp_path / "seen.png")
    shutil.copy(photo, tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("none")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / ".thumbnails").mkdir()
    shutil.copy(photo, tmp_path / ".thumbnails" / "small.png")
    assert calibrate_with_folder(tmp_path, SPEC, 10, seed=0).record.count == 1


def test_a_folder_without_usable_images_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*nowhere"):
        calibrate_with_folder(tmp_path / "nowhere", SPEC, 10, seed=0)
    with pytest.raises(DataError, match="no images to calibrate with"):
        calibrate_with_folder(tmp_path, SPEC, 10, seed=0)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(DataError, match=r"cannot decode .*broken\.jpg"):
        calibrate_with_folder(tmp_path, SPEC, 10, seed=0)
