from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecnn.core.settings.augment import NO_AUGMENT, AugmentSettings, parse_augment
from edgecnn.training.augmentation.augment import augment
from edgecnn.training.keras import tf

Image = NDArray[np.float32]

SEEDS = 48
"""Number of variants that is enough to come near both ends of a random range."""

EVERYTHING = parse_augment(
    "none,flip=true,flip_vertical=true,rotation_degrees=15,shift=0.1,zoom=0.2,crop=0.2,brightness=0.15,contrast=0.2,"
    "saturation=0.3,blur_px=1.5,noise=0.05,jpeg_quality=50,erasing=0.2"
)
EACH = {key: NO_AUGMENT.model_copy(update={key: value}) for key, value in EVERYTHING.model_dump().items()}
GEOMETRY = ("flip", "flip_vertical", "rotation_degrees", "shift", "zoom", "crop")


def variants(image: Image, changes: AugmentSettings, count: int = SEEDS) -> Image:
    """Make variants of one image, `[count, height, width, channels]`, as a training pipeline does."""
    numbers = tf.data.Dataset.range(count)
    made = numbers.map(lambda n: augment(tf.constant(image), tf.stack([5, n]), changes), num_parallel_calls=2)
    images: Image = next(made.batch(count).as_numpy_iterator())
    return images


def noisy(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> Image:
    return np.random.default_rng(seed).uniform(0, 255, (height, width, channels)).astype(np.float32)


def smooth(height: int = 40, width: int = 48) -> Image:
    """Return an image without fine detail, in medium grays with some color."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / 7 + shift) + np.cos(y / 9 - shift) for shift in (0, 0.6, 1.2)]
    return (128 + 30 * np.stack(waves, axis=2)).astype(np.float32)


def plain(gray: float, height: int = 24, width: int = 32) -> Image:
    return np.full((height, width, 3), gray, np.float32)


def dots(*positions: tuple[int, int], side: int = 61) -> Image:
    """Draw soft white dots on black at (y, x)."""
    y, x = np.mgrid[:side, :side]
    shown = sum(np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8) for row, column in positions)
    return np.repeat(255 * np.asarray(shown, np.float32)[..., None], 3, axis=2)


def center_of(image: Image) -> NDArray[np.float64]:
    """Return (y, x) of the center of the bright pixels."""
    gray = image[..., 0].astype(float)
    return np.array([(np.indices(gray.shape)[axis] * gray).sum() / gray.sum() for axis in (0, 1)])


# ---- all changes


def strengths(**ranges: tuple[float, float]) -> dict[str, Any]:
    return {key: st.just(low) | st.floats(low, high) for key, (low, high) in ranges.items()}


any_settings = st.builds(
    AugmentSettings,
    flip=st.booleans(),
    flip_vertical=st.booleans(),
    jpeg_quality=st.integers(1, 100),
    **strengths(rotation_degrees=(0, 180), shift=(0, 0.5), zoom=(0, 0.9), crop=(0, 0.9)),
    **strengths(brightness=(0, 1), contrast=(0, 1), saturation=(0, 1)),
    **strengths(blur_px=(0, 10), noise=(0, 0.5), erasing=(0, 0.9)),
)


@given(
    changes=any_settings,
    seed=st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from((1, 3)),
)
def test_a_seed_gives_one_variant_of_the_same_shape_and_range_for_any_settings(
    changes: AugmentSettings, seed: tuple[int, int], height: int, width: int, channels: int
) -> None:
    image = noisy(height, width, channels, seed[0])
    one, again = (augment(tf.constant(image), tf.constant(seed, tf.int64), changes).numpy() for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert (one.shape, one.dtype) == (image.shape, image.dtype)
    assert one.min() >= 0 and one.max() <= 255


def test_a_photo_is_unchanged_to_the_bit_if_every_change_is_off() -> None:
    image = noisy()
    np.testing.assert_array_equal(variants(image, NO_AUGMENT, 3), np.broadcast_to(image, (3, *image.shape)))


@pytest.mark.parametrize("change", EACH)
def test_each_change_alone_changes_a_photo(change: str) -> None:
    image = noisy()
    made = variants(image, EACH[change])
    changed = (made != image).any(axis=(1, 2, 3))
    # A flip leaves half of the photos unchanged, and a rectangle may be smaller than a pixel.
    assert changed.mean() > (0.2 if change.startswith("flip") else 0.7)


@pytest.mark.parametrize("change", [change for change in EACH if change != "saturation"])
def test_an_image_with_one_channel_can_be_changed(change: str) -> None:
    assert (variants(noisy(channels=1), EACH[change]) != noisy(channels=1)).any()


def test_saturation_leaves_an_image_with_one_channel_alone() -> None:
    image = noisy(channels=1)
    np.testing.assert_array_equal(variants(image, EACH["saturation"], 3), np.broadcast_to(image, (3, *image.shape)))


def test_switching_a_change_on_does_not_affect_the_others() -> None:
    image = noisy()
    without = variants(image, parse_augment("none,crop=0.3,flip=true,brightness=0.1"))
    erased = variants(image, parse_augment("none,crop=0.3,flip=true,brightness=0.1,erasing=0.2"))
    assert 0 < (without != erased).mean() < 0.2


# ---- geometry


@given(changes=any_settings, seed=st.integers(0, 2**40), channels=st.sampled_from((1, 3)))
def test_geometry_adds_no_values_outside_the_range_of_the_photo(
    changes: AugmentSettings, seed: int, channels: int
) -> None:
    only_geometry = NO_AUGMENT.model_copy(update=changes.model_dump(include=set(GEOMETRY)))
    image = 100 + noisy(7, 12, channels, seed) / 10
    made = augment(tf.constant(image), tf.constant((seed, 1), tf.int64), only_geometry).numpy()
    assert made.min() >= image.min() - 1e-3
    assert made.max() <= image.max() + 1e-3


@pytest.mark.parametrize(("change", "axis"), [("flip", 1), ("flip_vertical", 0)])
def test_about_half_of_the_photos_are_flipped_and_a_flip_is_exact(change: str, axis: int) -> None:
    image = noisy()
    made = variants(image, EACH[change])
    mirrored = np.array([np.array_equal(variant, np.flip(image, axis)) for variant in made])
    unchanged = np.array([np.array_equal(variant, image) for variant in made])
    assert (mirrored ^ unchanged).all()
    assert 0.2 < mirrored.mean() < 0.8


def test_a_rotation_stays_within_its_angle_in_both_directions() -> None:
    # The angle of the line through two dots is the rotation.
    left, right = dots((30, 14)), dots((30, 46))
    ends = [[center_of(variant) for variant in variants(end, EACH["rotation_degrees"])] for end in (left, right)]
    along = np.array(ends[1]) - np.array(ends[0])
    degrees = np.degrees(np.arctan2(along[:, 0], along[:, 1]))
    assert np.abs(degrees).max() <= 15.1
    assert degrees.min() < -8 and degrees.max() > 8
    np.testing.assert_allclose(np.hypot(*along.T), 32, atol=0.2)
    # The rotation is about the center.
    np.testing.assert_allclose((np.array(ends[0]) + np.array(ends[1])) / 2, 30, atol=0.1)


def test_a_shift_stays_within_its_share_of_a_side() -> None:
    moved = np.array([center_of(variant) for variant in variants(dots((30, 30)), EACH["shift"])]) - 30
    assert np.abs(moved).max() <= 0.1 * 61
    assert (moved.min(axis=0) < -3).all() and (moved.max(axis=0) > 3).all()


def test_a_zoom_stays_within_its_share_and_does_not_move_the_center() -> None:
    ends = [[center_of(variant) for variant in variants(dots(dot), EACH["zoom"])] for dot in ((30, 18), (30, 42))]
    length = (np.array(ends[1]) - np.array(ends[0]))[:, 1] / 24
    assert 0.79 <= length.min() < 0.9
    assert 1.1 < length.max() <= 1.21
    np.testing.assert_allclose((np.array(ends[0]) + np.array(ends[1])) / 2, 30, atol=0.1)


def test_a_crop_is_a_window_of_an_allowed_size_within_the_photo() -> None:
    # The values of this image are its coordinates, so the corners show where the window was.
    y, x = np.mgrid[:21, :41].astype(np.float32)
    made = variants(np.stack([x, y, 0 * x], axis=2), EACH["crop"])
    top_left, bottom_right = made[:, 0, 0, :2], made[:, -1, -1, :2]
    sides = (bottom_right - top_left) / (40, 20)
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-3)
    assert sides.min() >= 0.8 - 1e-3
    assert sides.min() < 0.85 and sides.max() > 0.95
    assert top_left.min() >= 0 and (bottom_right <= (40, 20)).all()
    assert top_left.max() > 3


@pytest.mark.parametrize("shape", [(24, 32), (25, 25), (40, 16)])
def test_an_upright_window_equals_the_result_of_the_general_map(shape: tuple[int, int]) -> None:
    image = noisy(*shape)
    upright = parse_augment("none,flip=true,flip_vertical=true,crop=0.5")
    hardly_turned = upright.model_copy(update={"rotation_degrees": 1e-5})
    np.testing.assert_allclose(variants(image, upright), variants(image, hardly_turned), atol=0.05)


# ---- light, lens, sensor, file


def test_brightness_shifts_all_values_equally_within_its_strength() -> None:
    made = variants(smooth(), EACH["brightness"]) - smooth()
    moved = made.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(made, np.broadcast_to(moved[:, None, None, None], made.shape), atol=1e-3)
    assert np.abs(moved).max() <= 0.15 * 255 + 1e-3
    assert moved.min() < -20 and moved.max() > 20


def test_contrast_scales_the_distance_from_the_mean_within_its_strength() -> None:
    made = variants(smooth(), EACH["contrast"])
    scale = made.std(axis=(1, 2)) / smooth().std(axis=(0, 1))
    np.testing.assert_allclose(made.mean(axis=(1, 2)), np.tile(smooth().mean(axis=(0, 1)), (SEEDS, 1)), atol=1e-2)
    assert 0.8 - 1e-3 <= scale.min() < 0.9
    assert 1.1 < scale.max() <= 1.2 + 1e-3


def test_saturation_scales_the_distance_from_gray_within_its_strength_and_leaves_gray_alone() -> None:
    made, image = variants(smooth(), EACH["saturation"]), smooth()
    gray = image @ np.array([0.2989, 0.5870, 0.1140], np.float32)
    scale = (made - gray[..., None]).std(axis=(1, 2, 3)) / (image - gray[..., None]).std()
    assert 0.7 - 1e-2 <= scale.min() < 0.85
    assert 1.15 < scale.max() <= 1.3 + 1e-2
    np.testing.assert_allclose(variants(plain(90), EACH["saturation"]), 90, atol=0.1)


def test_a_blur_spreads_a_point_evenly_by_at_most_its_sigma() -> None:
    point = np.zeros((31, 31, 3), np.float32)
    point[15, 15] = 255
    made = variants(point, EACH["blur_px"]) / 255
    np.testing.assert_allclose(made.sum(axis=(1, 2)), 1, atol=1e-4)
    away = np.arange(-15, 16) ** 2
    sigma_y, sigma_x = (np.sqrt((made[..., 0].sum(axis=axis) * away).sum(axis=1)) for axis in (2, 1))
    np.testing.assert_allclose(sigma_y, sigma_x, atol=1e-3)
    assert 1.2 < sigma_y.max() <= 1.5
    assert sigma_y.min() < 0.4


def test_a_blur_removes_detail_and_leaves_a_plain_photo_alone() -> None:
    assert (variants(noisy(), EACH["blur_px"]).std(axis=(1, 2, 3)) < noisy().std() + 1e-3).all()
    np.testing.assert_allclose(variants(plain(200), EACH["blur_px"]), 200, atol=1e-2)


def test_a_blur_can_be_wider_than_the_photo() -> None:
    assert variants(noisy(3, 5), NO_AUGMENT.model_copy(update={"blur_px": 10.0})).shape == (SEEDS, 3, 5, 3)


def test_noise_has_no_bias_and_at_most_its_standard_deviation() -> None:
    made = variants(plain(128, 64, 64), EACH["noise"]) - 128
    deviation = made.std(axis=(1, 2, 3))
    assert 0.04 * 255 < deviation.max() < 0.052 * 255
    assert deviation.min() < 0.01 * 255
    assert np.abs(made.mean(axis=(1, 2, 3))).max() < 1
    assert not np.array_equal(made[0], made[1])


def test_jpeg_compression_removes_detail_and_leaves_smooth_areas() -> None:
    assert np.abs(variants(smooth(), EACH["jpeg_quality"]) - smooth()).mean() < 4
    better, worse = (
        np.abs(variants(noisy(), NO_AUGMENT.model_copy(update={"jpeg_quality": quality})) - noisy()).mean()
        for quality in (90, 10)
    )
    assert better < worse


def test_erasing_covers_one_rectangle_in_one_color_within_its_share() -> None:
    covered = (variants(plain(-1), EACH["erasing"]) > 0).any(axis=3)
    made = variants(noisy(), EACH["erasing"])
    shares = covered.mean(axis=(1, 2))
    assert shares.max() <= 0.2
    assert shares.max() > 0.12 and shares.min() < 0.05
    for image, where in zip(made, covered, strict=True):
        rows, columns = where.any(axis=1), where.any(axis=0)
        np.testing.assert_array_equal(where, rows[:, None] & columns)
        assert len(np.unique(image[where].reshape(-1, 3), axis=0)) <= 1
        np.testing.assert_array_equal(image[~where], noisy()[~where])
    # Rectangles may lie anywhere in the photo, up to each of its borders.
    reached = covered.any(axis=0)
    borders = (reached[0], reached[-1], reached[:, 0], reached[:, -1])
    assert reached.mean() > 0.7 and all(border.any() for border in borders)
