"""A picture of augmentation: photos after preprocessing, each next to some of its random variants."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.settings.augment import AugmentSettings, augment_args
from edgecnn.training.augmentation.augment import augment
from edgecnn.training.keras import tf
from edgecnn.training.plots.figure import new_figure, save_figure

SHEET_ROWS: Final = 6
"""Maximum number of photos."""
_VARIANTS = 7
_CELL_INCHES = 1.5
_GAP = 0.06
"""Gap between two pictures, as a share of their width; the one after the preprocessed photo is three times as wide."""


def photos_to_show(classes: NDArray[np.int64], seed: int, count: int = SHEET_ROWS) -> NDArray[np.int64]:
    """Choose photos of as many classes as possible.

    Args:
        classes: `[n]` class indices.
        seed: Seed of the choice.
        count: Maximum number of photos.

    Returns:
        Indices of the photos, sorted by class.
    """
    order = np.random.default_rng(seed).permutation(len(classes))
    by_class = order[np.argsort(classes[order], kind="stable")]
    # Number of earlier photos of the same class: the first photo of every class is chosen, then the second, and so on.
    in_order = classes[by_class]
    earlier = np.empty(len(classes), np.int64)
    earlier[by_class] = np.arange(len(classes)) - np.searchsorted(in_order, in_order)
    chosen = order[np.argsort(earlier[order], kind="stable")][:count]
    return chosen[np.argsort(classes[chosen], kind="stable")]


def write_augment_sheet(
    pixels: NDArray[np.uint8], settings: AugmentSettings, seed: int, path: Path, *, names: Sequence[str] = ()
) -> None:
    """Write a PNG of preprocessed photos and variants of each, as training would see them.

    Args:
        pixels: `[n, height, width, 1 or 3]`, preprocessed photos.
        settings: Augmentation settings.
        seed: Seed of the variants.
        path: File to write.
        names: Titles of the rows, such as the photos' classes.

    Raises:
        WriteError: If the file cannot be written.
    """
    sheet, columns, rows = _mosaic(pixels, settings, seed)
    height, width = sheet.shape[:2]
    # Inches per pixel: a photo is as wide as a cell. The titles are above and to the left of the mosaic.
    inches = _CELL_INCHES / pixels.shape[2]
    figure = new_figure(width * inches + 1.2, height * inches + 1.0)
    axes = figure.subplots()
    axes.imshow(sheet)
    axes.set_xticks(
        [columns[0], float(np.mean(columns[1:]))], ["as prepared", "random variants, as training sees them"]
    )
    axes.set_yticks(rows, names or [""] * len(rows))
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    figure.suptitle(_caption(settings, characters=int(16 * width * inches)), fontsize=9)
    save_figure(figure, path)


def _mosaic(
    pixels: NDArray[np.uint8], settings: AugmentSettings, seed: int
) -> tuple[NDArray[np.uint8], list[float], list[float]]:
    """Return the pictures on white, and the middles of the columns and rows in pixels."""
    count, height, width, _ = pixels.shape
    gap = max(1, round(_GAP * width))
    lefts = [column * (width + gap) + (2 * gap if column else 0) for column in range(1 + _VARIANTS)]
    tops = [row * (height + gap) for row in range(count)]
    sheet = np.full((tops[-1] + height, lefts[-1] + width, 3), 255, np.uint8)
    for top, photo, number in zip(tops, pixels, range(count), strict=True):
        variants = _variants(photo, settings, seed, first=number * _VARIANTS)
        for left, picture in zip(lefts, (photo, *variants), strict=True):
            sheet[top : top + height, left : left + width] = picture
    return sheet, [left + width / 2 for left in lefts], [top + height / 2 for top in tops]


def _variants(photo: NDArray[np.uint8], settings: AugmentSettings, seed: int, *, first: int) -> list[NDArray[Any]]:
    image = tf.constant(photo, tf.float32)
    numbers = range(first, first + _VARIANTS)
    made = [augment(image, tf.constant([seed, number], tf.int64), settings).numpy() for number in numbers]
    return [np.rint(variant).astype(np.uint8) for variant in made]


def _caption(settings: AugmentSettings, *, characters: int) -> str:
    return textwrap.fill("   ".join(augment_args(settings)) or "nothing is changed", characters)
