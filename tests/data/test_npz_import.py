from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import InputError
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap
from edgecnn.data.importing import import_dataset
from edgecnn.data.known_sets import KNOWN_SETS, find_known_set
from edgecnn.data.npz import read_npz


def pictures(count: int, *shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def write_keras(path: Path, **changes: Any) -> Path:
    """Write a tiny file in Keras's layout, with three classes."""
    arrays = {"x_train": pictures(6, 8, 8), "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8)}
    arrays |= {"x_test": pictures(3, 8, 8, seed=1), "y_test": np.array([2, 1, 0], np.uint8)}
    np.savez_compressed(path, **{key: array for key, array in (arrays | changes).items() if array is not None})
    return path


def write_medmnist(path: Path, *shape: int) -> Path:
    """Write a tiny file in MedMNIST's layout, with two classes."""
    arrays = {}
    for seed, (split, count) in enumerate({"train": 4, "val": 2, "test": 2}.items()):
        arrays[f"{split}_images"] = pictures(count, *shape, seed=seed)
        arrays[f"{split}_labels"] = np.arange(count).reshape(-1, 1) % 2
    np.savez(path, **arrays)
    return path


def error_of(path: Path, labels: LabelMap | None = None) -> str:
    with pytest.raises(InputError) as caught:
        list(read_npz(path, labels).photos())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_mnist_is_recognized_by_its_name(tmp_path: Path) -> None:
    note = import_dataset(read_npz(write_keras(tmp_path / "mnist.npz")), tmp_path / "mnist")
    assert note.counts == {"train": {"0": 2, "1": 2, "2": 2}, "test": {"0": 1, "1": 1, "2": 1}}
    assert (note.name, note.source, note.license) == ("mnist", "mnist.npz", KNOWN_SETS["mnist"].license)
    assert scan_dataset(tmp_path / "mnist", strict=True).counts == {"train": 6, "test": 3}


@pytest.mark.parametrize("stem", ["pneumoniamnist", "pneumoniamnist_224"])
def test_medmnist_is_recognized_by_its_name_at_every_size(stem: str, tmp_path: Path) -> None:
    note = import_dataset(read_npz(write_medmnist(tmp_path / f"{stem}.npz", 8, 8)), tmp_path / "xrays")
    both = {"normal": 1, "pneumonia": 1}
    assert note.counts == {"train": {"normal": 2, "pneumonia": 2}, "validation": both, "test": both}
    assert (note.name, note.license) == ("pneumoniamnist", "CC BY 4.0")
    assert note.citation is not None and "MedMNIST v2" in note.citation


def test_a_photo_is_written_to_the_bit_and_named_after_its_index(tmp_path: Path) -> None:
    source = write_keras(tmp_path / "mnist.npz")
    import_dataset(read_npz(source), tmp_path / "out")
    stored = cv2.imread(str(tmp_path / "out" / "train" / "2" / "000005.png"), cv2.IMREAD_UNCHANGED)
    assert stored is not None and stored.shape == (8, 8)
    np.testing.assert_array_equal(stored, np.load(source)["x_train"][5])


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_keep_their_order(channels: int, tmp_path: Path) -> None:
    source = write_medmnist(tmp_path / "bloodmnist.npz", 8, 8, channels)
    import_dataset(read_npz(source), tmp_path / "out")
    (photo,) = (tmp_path / "out" / "test" / "eosinophil").iterdir()
    expected = np.load(source)["test_images"][1]
    np.testing.assert_array_equal(read_image(photo), np.broadcast_to(expected, (8, 8, 3)))


def test_an_unknown_set_uses_sortable_numbers_or_the_given_names(tmp_path: Path) -> None:
    many = write_keras(tmp_path / "mine.npz", x_train=pictures(12, 8, 8), y_train=np.arange(12))
    photos = read_npz(many).photos()
    assert [photo.label for photo in photos] == [f"{number:02}" for number in (*range(12), 2, 1, 0)]
    names = LabelMap(tuple("abcdefghijkl"))
    assert "".join(photo.label for photo in read_npz(many, names).photos()) == "abcdefghijklcba"
    assert read_npz(many).license is None


def test_given_names_override_known_names(tmp_path: Path) -> None:
    source = read_npz(write_medmnist(tmp_path / "pneumoniamnist.npz", 8, 8), LabelMap(("healthy", "ill")))
    assert {photo.label for photo in source.photos()} == {"healthy", "ill"}


def test_a_file_without_a_test_split_has_none(tmp_path: Path) -> None:
    source = read_npz(write_keras(tmp_path / "mine.npz", x_test=None, y_test=None))
    assert ({photo.split for photo in source.photos()}, source.count) == ({"train"}, 6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"y_train": np.zeros((6, 14), np.uint8)}, "y_train gives each image 14 labels; expected one"),
        (
            {"y_train": np.zeros(6, np.float32)},
            r"expected y_train as one integer per image, got float32 (6,)",
        ),
        ({"y_train": np.full(6, -1)}, "expected classes as numbers from 0, got -1"),
        ({"y_train": np.zeros(5, np.uint8)}, "expected one label per image, got 6 x_train and 5 y_train"),
        ({"x_train": pictures(6, 8, 8, 8)}, "expected x_train as uint8 (n, height, width) or"),
        ({"x_train": pictures(6, 8, 8).astype(np.float32)}, "got float32 (6, 8, 8)"),
        ({"x_train": None}, "expected the arrays x_train, y_train, x_test, y_test or train_images, train_labels"),
        ({"y_train": np.array([{}] * 6)}, "y_train cannot be read: Object arrays cannot be loaded"),
    ],
)
def test_a_file_that_is_not_a_classification_data_set_is_refused(changes: Any, expected: str, tmp_path: Path) -> None:
    assert expected in error_of(write_keras(tmp_path / "mine.npz", **changes))


def test_too_few_names_are_refused(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "mine.npz")
    assert "contains class 2, but the names end at 1" in error_of(path, LabelMap(("a", "b")))


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("text")
    assert "is not an .npz of images and labels" in error_of(tmp_path / "text.npz")
    content = bytearray(write_keras(tmp_path / "mnist.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "mnist.npz").write_bytes(content)
    assert "x_train cannot be read" in error_of(tmp_path / "mnist.npz")


def test_only_a_size_is_removed_from_a_name() -> None:
    assert find_known_set("pathmnist_64") == ("pathmnist", KNOWN_SETS["pathmnist"])
    assert find_known_set("PneumoniaMNIST")[1] == KNOWN_SETS["pneumoniamnist"]
    assert find_known_set("chestmnist") == ("chestmnist", None)
    assert find_known_set("fashion_mnist") == ("fashion_mnist", None)
    assert "NC" in KNOWN_SETS["dermamnist"].license


def test_pneumoniamnist_has_the_published_counts(data: Path) -> None:
    source = read_npz(data / "pneumoniamnist.npz")
    photos = [(photo.split, photo.label) for photo in source.photos()]
    assert len(photos) == source.count == 5856
    assert [photos.count(("test", name)) for name in ("normal", "pneumonia")] == [234, 390]
