from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecnn.core.preprocess import decode_image
from edgecnn.core.settings.augment import NO_AUGMENT, AugmentSettings, parse_augment
from edgecnn.training.plots.augment_sheet import photos_to_show, write_augment_sheet

COLUMNS = 8


def sheet(pixels: NDArray[np.uint8], settings: AugmentSettings, path: Path) -> NDArray[np.uint8]:
    write_augment_sheet(pixels, settings, 3, path, names=[f"row {row}" for row in range(len(pixels))])
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = decode_image(path.read_bytes())
    assert picture is not None
    return picture


def cells(picture: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Return the colors in the middle of the pictures of a sheet, row by row from the left."""
    # Large dark or colored areas are pictures; letters are small.
    shown = (picture.min(axis=2) < 200).astype(np.uint8)
    _, _, boxes, middles = cv2.connectedComponentsWithStats(shown)
    large = [
        (x, y)
        for (x, y), box in zip(middles, boxes, strict=True)
        if min(box[2:4]) > 60 and box[4] > 0.95 * box[2] * box[3]
    ]
    positions = sorted((round(y / 20), round(x)) for x, y in large)
    return [tuple(int(value) for value in picture[20 * y, x]) for y, x in positions]  # type: ignore[misc]


def plain(*colors: tuple[int, ...], height: int = 28, width: int = 28) -> NDArray[np.uint8]:
    return np.stack([np.full((height, width, len(color)), color, np.uint8) for color in colors])


def test_a_row_contains_the_preprocessed_photo_and_its_variants(tmp_path: Path) -> None:
    colors = [(150, 20, 30), (20, 30, 150)]
    shown = cells(sheet(plain(*colors), NO_AUGMENT, tmp_path / "sheet.png"))
    assert shown == [colors[0]] * COLUMNS + [colors[1]] * COLUMNS


def test_only_the_variants_are_changed(tmp_path: Path) -> None:
    brighter = parse_augment("none,brightness=0.2")
    shown = cells(sheet(plain((100, 100, 100)), brighter, tmp_path / "sheet.png"))
    assert len(shown) == COLUMNS
    assert shown[0] == (100, 100, 100)
    assert len(set(shown)) > COLUMNS // 2
    assert max(abs(red - 100) for red, _, _ in shown) <= 51


@pytest.mark.parametrize(("height", "width"), [(28, 28), (224, 224), (40, 96), (96, 40)])
def test_photos_of_any_shape_are_not_distorted(height: int, width: int, tmp_path: Path) -> None:
    picture = sheet(plain((90, 20, 20), height=height, width=width), NO_AUGMENT, tmp_path / "sheet.png")
    _, _, boxes, _ = cv2.connectedComponentsWithStats((picture.min(axis=2) < 50).astype(np.uint8))
    largest = sorted(boxes.tolist(), key=lambda box: -box[4])[1]
    assert largest[3] / largest[2] == pytest.approx(height / width, rel=0.05)


def test_photos_with_one_channel_are_gray(tmp_path: Path) -> None:
    everything = parse_augment("rotation_degrees=15,saturation=0.5,noise=0.1,jpeg_quality=60")
    picture = sheet(plain((90,), (30,)), everything, tmp_path / "sheet.png").astype(int)
    assert np.abs(picture - picture.mean(axis=2, keepdims=True)).max() < 2
    assert len(cells(picture.astype(np.uint8))) == 2 * COLUMNS


def test_the_same_seed_gives_the_same_sheet(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
    one, other = (sheet(pixels, AugmentSettings(), tmp_path / name) for name in ("one.png", "other.png"))
    np.testing.assert_array_equal(one, other)


@given(classes=st.lists(st.integers(0, 5), min_size=1, max_size=40), seed=st.integers(0, 9), count=st.integers(1, 12))
def test_photos_of_as_many_classes_as_possible_are_shown(classes: list[int], seed: int, count: int) -> None:
    class_of = np.array(classes, np.int64)
    shown = photos_to_show(class_of, seed, count)
    assert len(set(shown.tolist())) == len(shown) == min(count, len(classes))
    assert len(set(class_of[shown])) == min(count, len(set(classes)))
    assert list(class_of[shown]) == sorted(class_of[shown])
    np.testing.assert_array_equal(shown, photos_to_show(class_of, seed, count))
