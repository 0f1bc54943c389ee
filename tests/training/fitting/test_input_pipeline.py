from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.settings.augment import NO_AUGMENT, AugmentSettings
from edgecnn.training.fitting.input_pipeline import (
    Samples,
    Variation,
    pixel_batches,
    shuffled_features,
    shuffled_photos,
)
from edgecnn.training.keras import tf
from edgecnn.training.normalization import normalize
from tests.trained import UNMIRRORED
from tests.training.networks import IMAGE_SHAPE, SPEC, pixels

COUNT = 10
BATCH = 4
CHANGES = AugmentSettings()


def samples_of(images: NDArray[np.uint8]) -> Samples:
    """Give every image its own class, and weights that rise from 1 to 2."""
    count = len(images)
    return Samples(images, np.eye(count, dtype=np.float32), np.linspace(1, 2, count, dtype=np.float32))


def photos() -> Samples:
    return samples_of(pixels(COUNT))


def batches_of(
    samples: Samples,
    batch_size: int,
    changes: AugmentSettings,
    seed: int,
    *,
    mixup: float = 0.0,
    first_step: int = 0,
    spec: PreprocessSpec = SPEC,
) -> Any:
    return shuffled_photos(samples, spec, batch_size, Variation(changes, mixup), seed=seed, first_step=first_step)


def first_photos(dataset: Any, images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the first `images` photos of a data set of batches, and their classes."""
    rows = list(dataset.unbatch().take(images).as_numpy_iterator())
    return np.stack([row[0] for row in rows]), np.array([row[1].argmax() for row in rows])


def bytes_of(normalized: NDArray[np.float32], spec: PreprocessSpec = SPEC) -> NDArray[np.float32]:
    return normalized * np.array(spec.std, np.float32) + np.array(spec.mean, np.float32)


# ---- training batches


def test_the_same_seed_gives_the_same_augmented_batches() -> None:
    first, second = (batches_of(photos(), BATCH, CHANGES, 7) for _ in range(2))
    for one, other in zip(first_photos(first, 2 * COUNT), first_photos(second, 2 * COUNT), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_seed_gives_other_batches() -> None:
    one, other = (first_photos(batches_of(photos(), BATCH, CHANGES, seed), COUNT) for seed in (7, 8))
    assert not np.array_equal(one[1], other[1])
    by_class = [images[np.argsort(classes)] for images, classes in (one, other)]
    assert all(not np.array_equal(a, b) for a, b in zip(*by_class, strict=True))


def test_every_epoch_has_every_photo_once_in_another_order_and_changed_otherwise() -> None:
    images, classes = first_photos(batches_of(photos(), BATCH, CHANGES, 7), 2 * COUNT)
    first, second = classes[:COUNT], classes[COUNT:]
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert list(first) != list(second)
    for one, other in zip(images[:COUNT][np.argsort(first)], images[COUNT:][np.argsort(second)], strict=True):
        assert not np.array_equal(one, other)


def test_augmented_batches_are_in_the_input_range_of_the_network() -> None:
    black_and_white = samples_of(np.stack([np.full(IMAGE_SHAPE, value, np.uint8) for value in (0, 255)]))
    images, _ = first_photos(batches_of(black_and_white, 2, CHANGES, 0), 40)
    assert images.dtype == np.float32
    assert bytes_of(images).min() == pytest.approx(0, abs=1e-3)
    assert bytes_of(images).max() == pytest.approx(255, abs=1e-3)


def test_an_augmented_photo_keeps_its_own_label() -> None:
    # A plain gray photo is unchanged by any crop, flip and contrast, and stays near its gray under any brightness.
    grays = np.array([0, 85, 170, 255])
    plain = samples_of(np.stack([np.full(IMAGE_SHAPE, gray, np.uint8) for gray in grays]))
    images, classes = first_photos(batches_of(plain, 3, CHANGES, 0), 100)
    means = bytes_of(images).mean(axis=(1, 2, 3))
    assert np.abs(means - grays[classes]).max() <= CHANGES.brightness * 255 + 1e-3
    assert np.abs(means - grays[classes]).max() > 1


def test_each_channel_is_normalized_by_its_own_mean_and_std() -> None:
    spec = SPEC.model_copy(update={"mean": (10.0, 100.0, 200.0), "std": (50.0, 60.0, 70.0)})
    gray = samples_of(np.full((4, *IMAGE_SHAPE), 128, np.uint8))
    images, _ = first_photos(batches_of(gray, 2, UNMIRRORED, 0, spec=spec), 8)
    channels = bytes_of(images, spec).mean(axis=(1, 2))
    np.testing.assert_allclose(channels, np.broadcast_to(channels[:, :1], channels.shape), atol=1e-3)


def sides(*, flip: bool) -> NDArray[np.bool_]:
    """Augment photos that are dark on the left; return which of 64 are still dark there."""
    dark_left = np.full((4, *IMAGE_SHAPE), 200, np.uint8)
    dark_left[:, :, : IMAGE_SHAPE[1] // 2] = 50
    images, _ = first_photos(batches_of(samples_of(dark_left), 8, AugmentSettings(flip=flip), 3), 64)
    dark: NDArray[np.bool_] = images[:, :, 0].mean(axis=(1, 2)) < images[:, :, -1].mean(axis=(1, 2))
    return dark


def test_no_photo_is_mirrored_with_flip_off() -> None:
    assert sides(flip=False).all()


def test_about_half_of_the_photos_are_mirrored_with_flip_on() -> None:
    assert 0.2 < sides(flip=True).mean() < 0.8


@given(first_step=st.integers(0, 12), batch_size=st.integers(1, 13))
def test_features_from_a_later_step_equal_those_of_an_uninterrupted_run(first_step: int, batch_size: int) -> None:
    features = Samples(np.arange(COUNT, dtype=np.float32)[:, None], *photos()[1:])
    whole, rest = (shuffled_features(features, batch_size, seed=7, first_step=step) for step in (0, first_step))
    for expected, batch in zip(whole.skip(first_step).take(4), rest.take(4), strict=True):
        for one, other in zip(expected, batch, strict=True):
            np.testing.assert_array_equal(one, other)


def test_photos_from_a_later_step_equal_those_of_an_uninterrupted_run() -> None:
    whole, rest = (batches_of(photos(), BATCH, CHANGES, 7, mixup=0.4, first_step=step) for step in (0, 3))
    for expected, batch in zip(whole.skip(3).take(2), rest.take(2), strict=True):
        for one, other in zip(expected, batch, strict=True):
            np.testing.assert_array_equal(one, other)


def test_features_keep_their_targets_and_weights() -> None:
    features = Samples(np.arange(COUNT, dtype=np.float32)[:, None], *photos()[1:])
    for rows, targets, weights in shuffled_features(features, BATCH, seed=0, first_step=0).take(5):
        np.testing.assert_array_equal(rows[:, 0], tf.argmax(targets, axis=1))
        np.testing.assert_array_equal(weights, features.weights[tf.argmax(targets, axis=1).numpy()])


def test_a_blended_photo_and_its_target_have_the_same_shares() -> None:
    grays = np.array([0, 60, 120, 180, 240])
    plain = samples_of(np.stack([np.full(IMAGE_SHAPE, gray, np.uint8) for gray in grays]))
    blended = 0
    for images, targets, weights in batches_of(plain, 5, NO_AUGMENT, 0, mixup=1.0).take(6).as_numpy_iterator():
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(bytes_of(images).mean(axis=(1, 2, 3)), targets @ grays, atol=1e-3)
        np.testing.assert_allclose(weights, targets @ plain.weights, atol=1e-5)
        blended += int(np.count_nonzero((targets > 0.01) & (targets < 0.99)))
    assert blended > 20


# ---- batches for measuring


@pytest.mark.parametrize("batch_size", [1, BATCH, COUNT, COUNT + 1])
def test_batches_for_measuring_contain_all_photos_in_order_and_unchanged(batch_size: int) -> None:
    dataset = pixel_batches(photos(), SPEC, batch_size)
    for _ in range(2):
        images, classes = first_photos(dataset, 3 * COUNT)
        np.testing.assert_array_equal(classes, np.arange(COUNT))
        np.testing.assert_array_equal(images, normalize(photos().rows, SPEC))
