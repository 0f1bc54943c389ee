"""Flips, rotation, shift, zoom and crop as one map from the new pixels to the old, with a single interpolation.

What lies outside of the photo is its reflection: black corners would be something to learn.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.training.augmentation.random_draws import draw_uniform, to_symmetric
from edgecnn.training.keras import tf

_INSIDE = 1e-6
"""A crop keeps so far from the photo's edge, as a share of its side. `crop_and_resize` blackens what rounding carries
beyond: the last row of one in twelve windows that end at the edge exactly."""


class _Draws(NamedTuple):
    # Every change has draws of its own, on or off: switching one on does not change what the others do.
    flip: Any
    flip_vertical: Any
    rotation: Any
    shift_x: Any
    shift_y: Any
    zoom: Any
    crop: Any
    crop_x: Any
    crop_y: Any


class _Map(NamedTuple):
    """`old_x = x_from_x * x + x_from_y * y + x_start`, and `old_y` likewise; whole numbers are centers of pixels."""

    x_from_x: Any
    x_from_y: Any
    x_start: Any
    y_from_x: Any
    y_from_y: Any
    y_start: Any


def random_geometry(image: Any, seed: Any, settings: AugmentSettings) -> Any:
    """The photo as another standpoint of the camera would show it; see `augment` for shapes and the seed."""
    if settings.rotation_degrees or settings.shift or settings.zoom:
        return _sampled(image, _map(image, draw_uniform(_Draws, seed), settings))
    if settings.flip or settings.flip_vertical or settings.crop:
        return _sampled_upright(
            image, _map(image, draw_uniform(_Draws, seed), settings), margin=_INSIDE * bool(settings.crop)
        )
    return image


def _map(image: Any, draw: _Draws, settings: AugmentSettings) -> _Map:
    """`old = center + offset + scale * rotation @ mirror @ (new - center)`."""
    height, width, _ = image.shape
    mirror_x = tf.where(draw.flip < 0.5, -1.0, 1.0) if settings.flip else 1.0
    mirror_y = tf.where(draw.flip_vertical < 0.5, -1.0, 1.0) if settings.flip_vertical else 1.0
    window = 1 - draw.crop * settings.crop
    scale = window / (1 + to_symmetric(draw.zoom) * settings.zoom)
    angle = to_symmetric(draw.rotation) * math.radians(settings.rotation_degrees)
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    x_from_x, x_from_y = mirror_x * cos, -mirror_y * sin
    y_from_x, y_from_y = mirror_x * sin, mirror_y * cos

    # In shares of a side: the window of a crop lies anywhere within the photo, and a shift comes on top.
    offset_x = (draw.crop_x - 0.5) * (1 - window) + to_symmetric(draw.shift_x) * settings.shift
    offset_y = (draw.crop_y - 0.5) * (1 - window) + to_symmetric(draw.shift_y) * settings.shift
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    x_start = center_x + offset_x * (width - 1) - x_from_x * center_x - x_from_y * center_y
    y_start = center_y + offset_y * (height - 1) - y_from_x * center_x - y_from_y * center_y
    return _Map(x_from_x, x_from_y, x_start, y_from_x, y_from_y, y_start)


def _sampled(image: Any, old: _Map) -> Any:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([*old, 0.0, 0.0])[None],
        output_shape=image.shape[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )[0]


def _sampled_upright(image: Any, old: _Map, *, margin: float) -> Any:
    """The same for a window that is upright and within the photo, at a third of the cost."""
    height, width, _ = image.shape
    top, left = old.y_start / max(height - 1, 1), old.x_start / max(width - 1, 1)
    # Top and bottom, left and right change places where the photo is mirrored.
    box = tf.stack([top, left, top + old.y_from_y, left + old.x_from_x])
    box = tf.clip_by_value(box, margin, 1 - margin)
    return tf.image.crop_and_resize(image[None], box[None], [0], [height, width])[0]
