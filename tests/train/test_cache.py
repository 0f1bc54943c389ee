from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.dataset import Example, read_image, scan_dataset
from edgecnn.core.errors import DataError, WriteError
from edgecnn.core.preprocess import PreprocessSpec, preprocess
from edgecnn.train import cache
from edgecnn.train.cache import cached_features, cached_pixels, hash_of
from edgecnn.train.convert import normalize
from edgecnn.train.keras import keras

SPEC = PreprocessSpec(height=16, width=16, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def examples(few_digits: Path, cache: Path) -> tuple[Example, ...]:
    with pytest.MonkeyPatch.context() as patch:
        # What a scan remembers is no business of these tests.
        patch.setenv("EDGECNN_CACHE", str(cache))
        return scan_dataset(few_digits).splits["test"]


class Told:
    """A `Progress` that remembers the tasks."""

    def __init__(self) -> None:
        self.tasks: list[str] = []

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        if task not in self.tasks:
            self.tasks.append(task)


def backbone(bias: float = 0.0, name: str = "tiny") -> Any:
    image = keras.Input((SPEC.height, SPEC.width, 3))
    dense = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(bias))
    return keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)), name=name)


def files(folder: Path, kind: str) -> set[str]:
    return {path.name for path in folder.glob(f"{kind}-*")}


def changed(**fields: Any) -> PreprocessSpec:
    return PreprocessSpec(**(SPEC.model_dump() | fields))


# ---- where


def test_everything_is_written_into_the_cache_folder_alone(
    examples: tuple[Example, ...], few_digits: Path, folder: Path
) -> None:
    before = sorted(few_digits.rglob("*"))
    cached_features(backbone(), examples, SPEC)
    assert len(files(folder, "pixels")) == len(files(folder, "features")) == len(list(folder.iterdir())) / 2 == 1
    assert sorted(few_digits.rglob("*")) == before


# ---- what


def test_cached_pixels_are_those_of_the_shared_preprocessing(examples: tuple[Example, ...]) -> None:
    expected = np.stack([preprocess(read_image(example.path), SPEC) for example in examples])
    for _ in range(2):
        np.testing.assert_array_equal(cached_pixels(examples, SPEC), expected)


def test_cached_features_are_those_of_the_backbone(examples: tuple[Example, ...]) -> None:
    expected = backbone(0.5)(normalize(cached_pixels(examples, SPEC), SPEC))
    for _ in range(2):
        np.testing.assert_allclose(cached_features(backbone(0.5), examples, SPEC), expected, rtol=1e-6)


def test_the_second_time_nothing_is_computed(examples: tuple[Example, ...], folder: Path) -> None:
    first, second = Told(), Told()
    cached_features(backbone(), examples, SPEC, first)
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    cached_features(backbone(), examples, SPEC, second)
    assert first.tasks == ["preparing photos", "frozen features"]
    assert second.tasks == ["frozen features (cached)"]
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written


# ---- the key


def test_names_of_photos_do_not_count(examples: tuple[Example, ...], folder: Path, tmp_path: Path) -> None:
    renamed = []
    for number, example in enumerate(examples):
        path = tmp_path / f"photo-{number}.png"
        shutil.copy(example.path, path)
        renamed.append(example._replace(path=path))
    cached_features(backbone(), examples, SPEC)
    before = sorted(folder.iterdir())
    cached_features(backbone(), renamed, SPEC)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "choose",
    [lambda photos: photos[1:], lambda photos: photos[::-1], lambda photos: (*photos[:-1], photos[0])],
    ids=["fewer", "another order", "another photo"],
)
def test_other_photos_have_another_key(examples: tuple[Example, ...], choose: Any, folder: Path) -> None:
    cached_pixels(examples, SPEC)
    other: Sequence[Example] = choose(examples)
    found = cached_pixels(other, SPEC)
    assert len(files(folder, "pixels")) == 2
    np.testing.assert_array_equal(found[0], preprocess(read_image(other[0].path), SPEC))


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 20},
        {"width": 20},
        {"resize": "squash"},
        {"crop_fraction": 0.5},
        {"interpolation": "area"},
    ],
    ids=str,
)
def test_another_geometry_has_other_pixels(examples: tuple[Example, ...], fields: dict[str, Any], folder: Path) -> None:
    cached_pixels(examples, SPEC)
    cached_pixels(examples, changed(**fields))
    assert len(files(folder, "pixels")) == 2


def test_the_mean_counts_for_pixels_only_where_it_fills_them(examples: tuple[Example, ...], folder: Path) -> None:
    grey = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    cached_pixels(examples, SPEC)
    cached_pixels(examples, changed(**grey))
    assert len(files(folder, "pixels")) == 1
    cached_pixels(examples, changed(resize="letterbox"))
    cached_pixels(examples, changed(resize="letterbox", **grey))
    assert len(files(folder, "pixels")) == 3


def test_gray_and_colour_are_kept_apart(examples: tuple[Example, ...], folder: Path) -> None:
    gray = changed(mean=(0.0,), std=(1.0,))
    colour_pixels, gray_pixels = cached_pixels(examples, SPEC), cached_pixels(examples, gray)
    assert len(files(folder, "pixels")) == 2
    assert gray_pixels.shape == (*colour_pixels.shape[:3], 1)
    np.testing.assert_array_equal(gray_pixels[0], preprocess(read_image(examples[0].path), gray))


@pytest.mark.parametrize("field", [{"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)}], ids=str)
def test_another_normalisation_has_other_features(
    examples: tuple[Example, ...], field: dict[str, Any], folder: Path
) -> None:
    cached_features(backbone(), examples, SPEC)
    found = cached_features(backbone(), examples, changed(**field))
    expected = backbone()(normalize(cached_pixels(examples, SPEC), changed(**field)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(files(folder, "features")) == 2


def test_other_weights_and_another_backbone_have_other_features(examples: tuple[Example, ...], folder: Path) -> None:
    for network in (backbone(), backbone(bias=1.0), backbone(name="other")):
        cached_features(network, examples, SPEC)
    assert len(files(folder, "features")) == 3
    assert len(files(folder, "pixels")) == 1


def test_where_a_part_ends_counts_in_a_hash() -> None:
    assert hash_of(["ab", "c"]) != hash_of(["a", "bc"])
    assert hash_of(["ab"]) == hash_of([b"ab"])


# ---- when it goes wrong


def test_a_half_written_file_never_takes_the_name(
    examples: tuple[Example, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_two(path: Path) -> Any:
        if path == examples[2].path:
            raise KeyboardInterrupt
        return read_image(path)

    with monkeypatch.context() as patch:
        patch.setattr(cache, "read_image", read_two)
        with pytest.raises(KeyboardInterrupt):
            cached_pixels(examples, SPEC)
    assert list(folder.iterdir()) == []
    assert len(cached_pixels(examples, SPEC)) == len(examples)


def test_features_that_fail_half_way_leave_the_pixels_and_no_features(
    examples: tuple[Example, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = backbone()

    def fail(batch: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(network, "predict_on_batch", fail)
    with pytest.raises(KeyboardInterrupt):
        cached_features(network, examples, SPEC)
    assert [path.name for path in folder.iterdir()] == list(files(folder, "pixels"))


def test_a_photo_that_went_away_is_named(examples: tuple[Example, ...], folder: Path, tmp_path: Path) -> None:
    gone = examples[0]._replace(path=tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"no such image: .*gone\.png"):
        cached_pixels([gone], SPEC)
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    examples: tuple[Example, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "posix_fallocate", full)
    with pytest.raises(WriteError, match="No space left on device"):
        cached_pixels(examples, SPEC)
    assert list(folder.iterdir()) == []
