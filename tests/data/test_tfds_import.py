"""Imports from TensorFlow Datasets, which prepares a small data set itself and without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import InputError, MissingDependency, UnknownName
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap
from edgecnn.data.importing import import_dataset, open_source
from edgecnn.data.tfds import read_tfds


def prepare(tfds: Any, data_dir: Path, dataset: str, label: Any, examples: dict[str, list[dict[str, Any]]]) -> None:
    """Prepare a data set of PNG pictures where `read_tfds` finds it."""
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(encoding_format="png"), "label": label})

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc]
        name = dataset
        VERSION = tfds.core.Version("1.2.0")

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(
                builder=self, features=features, license="CC0", citation="@misc{tiny}", disable_shuffling=True
            )

        def _split_generators(self, _: Any) -> Any:
            return {split: self._generate_examples(of_split) for split, of_split in examples.items()}

        def _generate_examples(self, of_split: list[dict[str, Any]]) -> Any:
            return enumerate(of_split)

    Builder(data_dir=data_dir).download_and_prepare()


def pictures(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, 10, 12, 3), np.uint8)


def labeled(count: int, seed: int, labels: list[Any]) -> list[dict[str, Any]]:
    return [{"image": picture, "label": label} for picture, label in zip(pictures(count, seed), labels, strict=True)]


@pytest.fixture(scope="module")
def tfds() -> Any:
    return pytest.importorskip("tensorflow_datasets", reason="pip install 'edgecnn[tfds]' to import from there")


@pytest.fixture(scope="module")
def prepared(tfds: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder of TensorFlow Datasets with the set `tiny`: cats and owls, for training and testing."""
    data_dir = tmp_path_factory.mktemp("tfds")
    classes = tfds.features.ClassLabel(names=["owl", "cat/kitten"])
    prepare(tfds, data_dir, "tiny", classes, {"train": labeled(4, 0, [0, 1, 1, 0]), "test": labeled(1, 1, [1])})
    return data_dir


def test_a_data_set_is_written_with_its_names_splits_and_license(prepared: Path, tmp_path: Path) -> None:
    note = import_dataset(read_tfds("tiny", prepared), tmp_path / "out")
    assert note.counts == {"train": {"cat-kitten": 2, "owl": 2}, "test": {"cat-kitten": 1}}
    assert (note.name, note.source) == ("tiny", "tfds:tiny/1.2.0")
    assert note.license == "CC0"
    assert note.citation == "@misc{tiny}"
    assert scan_dataset(tmp_path / "out", strict=True).counts == {"train": 4, "test": 1}


def test_the_pictures_are_copied_as_stored(prepared: Path, tmp_path: Path) -> None:
    import_dataset(read_tfds("tiny:1.*.*", prepared), tmp_path / "out")
    (photo,) = (tmp_path / "out" / "test" / "cat-kitten").iterdir()
    assert photo.name == "000000.png"
    np.testing.assert_array_equal(read_image(photo), pictures(1, 1)[0])


def test_a_data_set_without_classes_is_refused(tfds: Any, tmp_path: Path) -> None:
    prepare(
        tfds,
        tmp_path,
        "boxes",
        tfds.features.BBoxFeature(),
        {"train": labeled(1, 0, [tfds.features.BBox(0.0, 0.0, 1.0, 1.0)])},
    )
    with pytest.raises(InputError, match=r"boxes is not a data set of images with one class each: .* got image, label"):
        read_tfds("boxes", tmp_path)


def test_unpublished_labels_are_reported(tfds: Any, tmp_path: Path) -> None:
    classes = tfds.features.ClassLabel(names=["cat", "owl"])
    prepare(tfds, tmp_path, "contest", classes, {"train": labeled(2, 0, [0, 1]), "test": labeled(1, 1, [-1])})
    with pytest.raises(InputError, match="contest does not publish the labels of its split 'test'"):
        list(read_tfds("contest", tmp_path).photos())


def test_an_unknown_name_is_refused_with_the_nearest_one(tfds: Any) -> None:
    with pytest.raises(UnknownName, match="unknown data set of TensorFlow Datasets 'mnits': did you mean 'mnist'"):
        open_source("tfds:mnits")


def test_names_for_classes_that_have_names_are_refused() -> None:
    with pytest.raises(InputError, match="tfds:tiny already names its classes; remove the labels"):
        open_source("tfds:tiny", labels=LabelMap(("cat", "owl")))


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingDependency, match=r"pip install 'edgecnn\[tfds\]'"):
        open_source("tfds:beans")
