from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.core.dataset import Example, scan_dataset
from edgecnn.core.errors import DataError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import PreprocessSpec, preprocess
from edgecnn.training.features import cache
from edgecnn.training.features.cache import cached_features, cached_pixels, hash_of
from edgecnn.training.keras import keras
from edgecnn.training.normalization import normalize

SPEC = PreprocessSpec(height=16, width=16, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def examples(few_digits: Path, cache: Path) -> tuple[Example, ...]:
    with pytest.MonkeyPatch.context() as patch:
        # The digests that a scan caches must not be in the folder that these tests inspect.
        patch.setenv("EDGECNN_CACHE", str(cache))
        return scan_dataset(few_digits).splits["test"]


class Recorder:
    """A `Progress` that records the total of each task, and may press Ctrl-C."""

    def __init__(self, interrupt_at: int = -1) -> None:
        self.tasks: dict[str, int] = {}
        self._interrupt_at = interrupt_at

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        self.tasks[task] = total
        if done == self._interrupt_at:
            raise KeyboardInterrupt


def backbone(bias: float = 0.0, name: str = "tiny") -> Any:
    image = keras.Input((SPEC.height, SPEC.width, 3))
    dense = keras.layers.Dense(2, kernel_initializer="ones", bias_initializer=keras.initializers.Constant(bias))
    return keras.Model(image, dense(keras.layers.GlobalAveragePooling2D()(image)), name=name)


def files(folder: Path, kind: str) -> set[str]:
    return {path.name for path in folder.glob(f"{kind}-*")}


def times_of(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def changed(**fields: Any) -> PreprocessSpec:
    return PreprocessSpec(**(SPEC.model_dump() | fields))


# ---- location


def test_only_the_cache_folder_is_written_to(examples: tuple[Example, ...], few_digits: Path, folder: Path) -> None:
    before = sorted(few_digits.rglob("*"))
    cached_pixels(examples, SPEC)
    cached_features(backbone(), examples, SPEC)
    assert len(files(folder, "pixels-16x16")) == len(files(folder, "features-tiny-16x16")) == 1
    assert len(list(folder.iterdir())) == 2
    assert sorted(few_digits.rglob("*")) == before


# ---- content


def test_cached_pixels_equal_those_of_the_shared_preprocessing(examples: tuple[Example, ...]) -> None:
    expected = np.stack([preprocess(read_image(example.path), SPEC) for example in examples])
    for _ in range(2):
        np.testing.assert_array_equal(cached_pixels(examples, SPEC), expected)


def test_cached_features_equal_those_of_the_backbone(examples: tuple[Example, ...]) -> None:
    expected = backbone(0.5)(normalize(cached_pixels(examples, SPEC), SPEC))
    for _ in range(2):
        np.testing.assert_allclose(cached_features(backbone(0.5), examples, SPEC), expected, rtol=1e-6)


def test_a_second_call_computes_nothing(examples: tuple[Example, ...], folder: Path) -> None:
    first, second = Recorder(), Recorder()
    cached_features(backbone(), examples, SPEC, first)
    written = times_of(folder)
    cached_features(backbone(), examples, SPEC, second)
    assert first.tasks == {"frozen features": len(examples)}
    assert second.tasks == {"frozen features (cached)": len(examples)}
    assert times_of(folder) == written


@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_only_new_photos_are_computed(kind: str, examples: tuple[Example, ...], folder: Path) -> None:
    def compute(photos: Sequence[Example], progress: Recorder) -> Any:
        if kind == "pixels":
            return cached_pixels(photos, SPEC, progress)
        return cached_features(backbone(), photos, SPEC, progress)

    task = {"pixels": "preparing photos", "features": "frozen features"}[kind]
    first, second = Recorder(), Recorder()
    some = np.array(compute(examples[3:7], first))
    everything = compute(examples, second)
    assert (first.tasks, second.tasks) == ({task: 4}, {task: len(examples) - 4})
    np.testing.assert_array_equal(everything[3:7], some)
    assert len(list(folder.iterdir())) == 1


def test_a_duplicate_photo_is_computed_once(examples: tuple[Example, ...]) -> None:
    recorder = Recorder()
    rows = cached_pixels([examples[0], examples[1], examples[0]], SPEC, recorder)
    assert recorder.tasks == {"preparing photos": 2}
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_array_equal(rows[1], preprocess(read_image(examples[1].path), SPEC))


# ---- the key


def test_names_and_order_of_photos_do_not_matter(examples: tuple[Example, ...], folder: Path, tmp_path: Path) -> None:
    renamed = []
    for number, example in enumerate(examples):
        path = tmp_path / f"photo-{number}.png"
        shutil.copy(example.path, path)
        renamed.append(example._replace(path=path))
    cached_features(backbone(), examples, SPEC)
    before = times_of(folder)
    cached_features(backbone(), renamed[::-1], SPEC)
    assert times_of(folder) == before


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
def test_another_geometry_has_its_own_pixels(
    examples: tuple[Example, ...], fields: dict[str, Any], folder: Path
) -> None:
    cached_pixels(examples, SPEC)
    cached_pixels(examples, changed(**fields))
    assert len(files(folder, "pixels")) == 2


def test_the_mean_matters_for_pixels_only_with_a_letterbox(examples: tuple[Example, ...], folder: Path) -> None:
    gray = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    cached_pixels(examples, SPEC)
    cached_pixels(examples, changed(**gray))
    assert len(files(folder, "pixels")) == 1
    cached_pixels(examples, changed(resize="letterbox"))
    cached_pixels(examples, changed(resize="letterbox", **gray))
    assert len(files(folder, "pixels")) == 3


def test_gray_and_color_pixels_are_cached_separately(examples: tuple[Example, ...], folder: Path) -> None:
    gray = changed(mean=(0.0,), std=(1.0,))
    color_pixels, gray_pixels = cached_pixels(examples, SPEC), cached_pixels(examples, gray)
    assert len(files(folder, "pixels")) == 2
    assert gray_pixels.shape == (*color_pixels.shape[:3], 1)
    np.testing.assert_array_equal(gray_pixels[0], preprocess(read_image(examples[0].path), gray))


@pytest.mark.parametrize("field", [{"mean": (0.0, 0.0, 0.0)}, {"std": (1.0, 1.0, 1.0)}], ids=str)
def test_another_normalization_has_its_own_features(
    examples: tuple[Example, ...], field: dict[str, Any], folder: Path
) -> None:
    cached_features(backbone(), examples, SPEC)
    features = cached_features(backbone(), examples, changed(**field))
    expected = backbone()(normalize(cached_pixels(examples, SPEC), changed(**field)))
    np.testing.assert_allclose(features, expected, rtol=1e-5)
    assert len(files(folder, "features")) == 2


def test_other_weights_and_another_backbone_have_their_own_features(
    examples: tuple[Example, ...], folder: Path
) -> None:
    for network in (backbone(), backbone(bias=1.0), backbone(name="other")):
        cached_features(network, examples, SPEC)
    assert len(files(folder, "features")) == 3


def test_the_boundaries_of_parts_change_a_hash() -> None:
    assert hash_of(["ab", "c"]) != hash_of(["a", "bc"])
    assert hash_of(["ab"]) == hash_of([b"ab"])


# ---- failures


def test_rows_computed_before_an_interrupt_are_kept(
    examples: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_BATCH_ROWS", 2)
    for compute in (cached_pixels, partial(cached_features, backbone())):
        with pytest.raises(KeyboardInterrupt):
            compute(examples, SPEC, Recorder(interrupt_at=6))
        rest = Recorder()
        rows = compute(examples, SPEC, rest)
        assert list(rest.tasks.values()) == [len(examples) - 4]
        assert len(rows) == len(examples)
    np.testing.assert_array_equal(rows[5], cached_features(backbone(), [examples[5]], SPEC)[0])


def test_large_arrays_are_added_in_small_batches(
    examples: tuple[Example, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_BATCH_BYTES", 1)
    with pytest.raises(KeyboardInterrupt):
        cached_pixels(examples, SPEC, Recorder(interrupt_at=4))
    rest = Recorder()
    cached_pixels(examples, SPEC, rest)
    assert rest.tasks == {"preparing photos": len(examples) - 3}


def test_a_missing_photo_is_named(examples: tuple[Example, ...], folder: Path, tmp_path: Path) -> None:
    missing = examples[0]._replace(path=tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"no such image: .*gone\.png"):
        cached_pixels([missing], SPEC)
    assert list(folder.glob("*/*")) == []


def test_a_changed_photo_is_named_and_not_cached(examples: tuple[Example, ...], folder: Path) -> None:
    other = examples[0]._replace(path=examples[1].path)
    with pytest.raises(DataError, match="has changed since it was scanned"):
        cached_features(backbone(), [other], SPEC)
    assert list(folder.glob("*/rows")) == []
