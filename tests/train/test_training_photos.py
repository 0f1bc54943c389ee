from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.augment_settings import AugmentSettings
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.train.convert import normalize
from edgecnn.train.photos import Labelled, augmented_batches, batches
from tests.train.networks import IMAGE_SHAPE, SPEC, pixels
from tests.trained import UNMIRRORED

COUNT = 10
BATCH = 4
CHANGES = AugmentSettings()


def photos() -> Labelled:
    return Labelled(pixels(COUNT), np.arange(COUNT))


def taken(dataset: Any, images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The first `images` photos of a stream of batches, and their classes."""
    rows = list(dataset.unbatch().take(images).as_numpy_iterator())
    return np.stack([row[0] for row in rows]), np.array([row[1] for row in rows])


def bytes_of(normalized: NDArray[np.float32], spec: PreprocessSpec = SPEC) -> NDArray[np.float32]:
    return normalized * np.array(spec.std, np.float32) + np.array(spec.mean, np.float32)


# ---- for training


def test_the_same_seed_gives_the_same_augmented_batches() -> None:
    first, second = (augmented_batches(photos(), SPEC, BATCH, CHANGES, 7) for _ in range(2))
    for one, other in zip(taken(first, 2 * COUNT), taken(second, 2 * COUNT), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_batches() -> None:
    one, other = (taken(augmented_batches(photos(), SPEC, BATCH, CHANGES, seed), COUNT) for seed in (7, 8))
    assert not np.array_equal(one[1], other[1])
    by_class = [images[np.argsort(classes)] for images, classes in (one, other)]
    assert all(not np.array_equal(a, b) for a, b in zip(*by_class, strict=True))


def test_every_epoch_has_every_photo_once_in_another_order_and_looking_otherwise() -> None:
    images, classes = taken(augmented_batches(photos(), SPEC, BATCH, CHANGES, 7), 2 * COUNT)
    first, second = classes[:COUNT], classes[COUNT:]
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert list(first) != list(second)
    for one, other in zip(images[:COUNT][np.argsort(first)], images[COUNT:][np.argsort(second)], strict=True):
        assert not np.array_equal(one, other)


def test_augmented_batches_are_in_the_range_that_the_network_takes() -> None:
    black_and_white = Labelled(np.stack([np.full(IMAGE_SHAPE, value, np.uint8) for value in (0, 255)]), np.arange(2))
    images, _ = taken(augmented_batches(black_and_white, SPEC, 2, CHANGES, 0), 40)
    assert images.dtype == np.float32
    assert bytes_of(images).min() == pytest.approx(0, abs=1e-3)
    assert bytes_of(images).max() == pytest.approx(255, abs=1e-3)


def test_an_augmented_photo_keeps_its_own_label() -> None:
    # A photo of one grey is that grey after any crop, flip and contrast, and near it after any brightness.
    greys = np.array([0, 85, 170, 255])
    plain = Labelled(np.stack([np.full(IMAGE_SHAPE, grey, np.uint8) for grey in greys]), np.arange(4))
    images, classes = taken(augmented_batches(plain, SPEC, 3, CHANGES, 0), 100)
    seen = bytes_of(images).mean(axis=(1, 2, 3))
    assert np.abs(seen - greys[classes]).max() <= CHANGES.brightness * 255 + 1e-3
    assert np.abs(seen - greys[classes]).max() > 1


def test_each_channel_is_normalised_by_its_own_mean_and_std() -> None:
    spec = SPEC.model_copy(update={"mean": (10.0, 100.0, 200.0), "std": (50.0, 60.0, 70.0)})
    grey = Labelled(np.full((4, *IMAGE_SHAPE), 128, np.uint8), np.arange(4))
    images, _ = taken(augmented_batches(grey, spec, 2, UNMIRRORED, 0), 8)
    channels = bytes_of(images, spec).mean(axis=(1, 2))
    np.testing.assert_allclose(channels, np.broadcast_to(channels[:, :1], channels.shape), atol=1e-3)


def sides(*, flip: bool) -> NDArray[np.bool_]:
    """Which of 64 augmented photos, all dark on the left, are still so."""
    dark_left = np.full((4, *IMAGE_SHAPE), 200, np.uint8)
    dark_left[:, :, : IMAGE_SHAPE[1] // 2] = 50
    images, _ = taken(augmented_batches(Labelled(dark_left, np.arange(4)), SPEC, 8, AugmentSettings(flip=flip), 3), 64)
    dark: NDArray[np.bool_] = images[:, :, 0].mean(axis=(1, 2)) < images[:, :, -1].mean(axis=(1, 2))
    return dark


def test_nothing_is_mirrored_with_flip_off() -> None:
    assert sides(flip=False).all()


def test_about_half_is_mirrored_with_flip_on() -> None:
    assert 0.2 < sides(flip=True).mean() < 0.8


# ---- for measuring


@pytest.mark.parametrize("batch_size", [1, BATCH, COUNT, COUNT + 1])
def test_photos_for_measuring_come_in_order_whole_and_as_they_are(batch_size: int) -> None:
    dataset = batches(photos(), SPEC, batch_size)
    for _ in range(2):
        images, classes = taken(dataset, 3 * COUNT)
        np.testing.assert_array_equal(classes, np.arange(COUNT))
        np.testing.assert_array_equal(images, normalize(photos().pixels, SPEC))
