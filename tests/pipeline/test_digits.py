from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import MissingDependency
from edgecnn.core.images import read_image
from edgecnn.pipeline.digits import write_digits


def test_the_digits_are_a_data_set_of_ten_classes_in_three_splits(digits: Path) -> None:
    dataset = scan_dataset(digits, strict=True)
    assert dataset.labels.names == tuple("0123456789")
    assert dataset.counts == {"train": 1190, "validation": 243, "test": 364}
    for split in dataset.splits:
        counts = dataset.class_counts(split).values()
        assert max(counts) - min(counts) <= 10


def test_no_digit_is_in_two_splits(digits: Path) -> None:
    splits = scan_dataset(digits).splits
    contents = [{example.sha256 for example in examples} for examples in splits.values()]
    assert not contents[0] & contents[1] and not contents[0] & contents[2] and not contents[1] & contents[2]


def test_a_digit_is_dark_ink_on_white_paper(digits: Path) -> None:
    image = read_image(digits / "test" / "0" / "000.png")
    assert image.shape == (64, 64, 3)
    assert image[:, 0].min() > 200
    assert image[16:48].min() < 50
    # A zero has a hole.
    assert image[32, 32].min() > 150


def test_without_scikit_learn_the_error_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependency, match=r"pip install 'edgecnn\[train\]'"):
        write_digits(tmp_path / "digits")
    assert not (tmp_path / "digits").exists()
