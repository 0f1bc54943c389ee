"""Flips, rotation, shift, zoom and crop as one map from the new pixels to the old ones, with a single interpolation.

The photo is reflected beyond its edges, because a network would learn from black corners.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.training.augmentation.random_draws import draw_uniform, to_symmetric
from edgecnn.training.keras import tf

_INSIDE = 1e-6
"""Distance of a crop from the photo's edge, as a share of its side.

`crop_and_resize` blackens pixels that rounding moves beyond the edge. Without the distance it blackens the last row of
one in twelve windows that end exactly at the edge.
"""


class _Draws(NamedTuple):
    # Every change has its own numbers, whether it is on or off, so that switching one on does not change the others.
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
    """The affine map `old_x = x_from_x * x + x_from_y * y + x_start`, and the same for `old_y`.

    Integers are the centers of pixels.
    """

    x_from_x: Any
    x_from_y: Any
    x_start: Any
    y_from_x: Any
    y_from_y: Any
    y_start: Any


def random_geometry(image: Any, seed: Any, settings: AugmentSettings) -> Any:
    """Change a photo as a different viewpoint of the camera would.

    Args:
        image: float32 `[height, width, channels]`, of a shape that is known when the graph is built.
        seed: Two int64; the same seed gives the same result.
        settings: Strength of each change.

    Returns:
        The changed photo, with the shape of `image`; the image itself if all these changes are off.
    """
    if settings.rotation_degrees or settings.shift or settings.zoom:
        return _sampled(image, _map(image, draw_uniform(_Draws, seed), settings))
    if settings.flip or settings.flip_vertical or settings.crop:
        return _sampled_upright(
            image, _map(image, draw_uniform(_Draws, seed), settings), margin=_INSIDE * bool(settings.crop)
        )
    return image


def _map(image: Any, draw: _Draws, settings: AugmentSettings) -> _Map:
    """Return the map `old = center + offset + scale * rotation @ mirror @ (new - center)`."""
    height, width, _ = image.shape
    mirror_x = tf.where(draw.flip < 0.5, -1.0, 1.0) if settings.flip else 1.0
    mirror_y = tf.where(draw.flip_vertical < 0.5, -1.0, 1.0) if settings.flip_vertical else 1.0
    window = 1 - draw.crop * settings.crop
    scale = window / (1 + to_symmetric(draw.zoom) * settings.zoom)
    angle = to_symmetric(draw.rotation) * math.radians(settings.rotation_degrees)
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    x_from_x, x_from_y = mirror_x * cos, -mirror_y * sin
    y_from_x, y_from_y = mirror_x * sin, mirror_y * cos

    # As shares of a side: a crop's window lies anywhere within the photo, and the shift is added.
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
    """Interpolate as `_sampled` does, at a third of the cost, for an upright window within the photo."""
    height, width, _ = image.shape
    top, left = old.y_start / max(height - 1, 1), old.x_start / max(width - 1, 1)
    # If the photo is mirrored, top and bottom or left and right are exchanged.
    box = tf.stack([top, left, top + old.y_from_y, left + old.x_from_x])
    box = tf.clip_by_value(box, margin, 1 - margin)
    return tf.image.crop_and_resize(image[None], box[None], [0], [height, width])[0]
