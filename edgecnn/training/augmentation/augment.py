"""Random changes to training photos, after the shared preprocessing and before normalization.

The order is a camera's: where it stands (geometry), the light, the lens (blur), the sensor (noise), the file (JPEG).
Erasing comes last, so that no other change softens its edge or moves it.

The changes are TensorFlow's own stateless operations: imgaug, KerasCV and Albumentations are no longer maintained, and
what followed the last is under the AGPL.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.training.augmentation.geometry import random_geometry
from edgecnn.training.augmentation.random_draws import draw_uniform, to_symmetric
from edgecnn.training.keras import tf

_RGB = 3
_BLUR_REACH = 3
"""A Gaussian is cut off so many standard deviations from its middle."""
_MAX_ASPECT = 3.0
"""How much longer than the other a side of an erased rectangle may be."""


class _Draws(NamedTuple):
    # Every change has draws of its own, on or off: switching one on does not change what the others do.
    brightness: Any
    contrast: Any
    saturation: Any
    blur: Any
    noise: Any
    jpeg: Any
    erased_share: Any
    erased_aspect: Any
    erased_x: Any
    erased_y: Any
    erased_red: Any
    erased_green: Any
    erased_blue: Any


def augment(image: Any, seed: Any, settings: AugmentSettings) -> Any:
    """A random variant of a float32 `[height, width, 1 or 3]` image in 0..255, of the same shape and range.

    The shape must be known when the graph is built. The same `seed` (two int64) gives the same variant, on a CPU to the
    bit. A change that is off is not in the graph; with all of them off the image comes back to the bit. One channel has
    no saturation to change.
    """
    geometry_seed, draw_seed, noise_seed = tf.unstack(tf.random.split(seed, 3))
    image = random_geometry(image, geometry_seed, settings)
    draw = draw_uniform(_Draws, draw_seed)
    image = _random_color(image, draw, settings)
    if settings.blur_px:
        image = _blurred(image, draw.blur * settings.blur_px, settings.blur_px)
    if settings.noise:
        image += draw.noise * settings.noise * 255 * tf.random.stateless_normal(image.shape, noise_seed)
    if settings.jpeg_quality < 100:
        image = _compressed(image, 100 - draw.jpeg * (100 - settings.jpeg_quality))
    if settings.erasing:
        image = _erased(image, draw, settings.erasing)
    return tf.clip_by_value(image, 0.0, 255.0)


def _random_color(image: Any, draw: _Draws, settings: AugmentSettings) -> Any:
    """Brightness is added, contrast scales the distance from each channel's mean, saturation that from gray."""
    if settings.brightness:
        image = tf.image.adjust_brightness(image, to_symmetric(draw.brightness) * settings.brightness * 255)
    if settings.contrast:
        image = tf.image.adjust_contrast(image, 1 + to_symmetric(draw.contrast) * settings.contrast)
    if settings.saturation and image.shape[-1] == _RGB:
        gray = tf.image.rgb_to_grayscale(image)
        image = gray + (1 + to_symmetric(draw.saturation) * settings.saturation) * (image - gray)
    return image


def _blurred(image: Any, sigma_px: Any, max_sigma_px: float) -> Any:
    """A Gaussian blur, along the columns and then along the rows; beyond the edge is the photo's reflection."""
    height, width, channels = image.shape
    reach = min(math.ceil(_BLUR_REACH * max_sigma_px), height - 1, width - 1)
    steps = tf.range(-reach, reach + 1, dtype=tf.float32)
    # A sigma of 0 would divide by it; so narrow a kernel is a single 1.
    weights = tf.exp(-0.5 * (steps / tf.maximum(sigma_px, 1e-3)) ** 2)
    kernel = tf.tile((weights / tf.reduce_sum(weights))[:, None, None, None], [1, 1, channels, 1])
    blurred = tf.pad(image, [[reach, reach], [reach, reach], [0, 0]], "REFLECT")[None]
    for along in (kernel, tf.transpose(kernel, [1, 0, 2, 3])):
        blurred = tf.nn.depthwise_conv2d(blurred, along, [1, 1, 1, 1], "VALID")
    return blurred[0]


def _compressed(image: Any, quality: Any) -> Any:
    """Written as JPEG of that quality (1..100) and read back."""
    as_bytes = tf.saturate_cast(tf.round(image), tf.uint8)
    read_back = tf.image.adjust_jpeg_quality(as_bytes, tf.cast(tf.round(quality), tf.int32))
    return tf.ensure_shape(tf.cast(read_back, tf.float32), image.shape)


def _erased(image: Any, draw: _Draws, max_share: float) -> Any:
    """A rectangle in one color, as if something stood before it (after Zhong et al. 2017, Random Erasing)."""
    height, width, channels = image.shape
    share = draw.erased_share * max_share
    aspect = _MAX_ASPECT ** to_symmetric(draw.erased_aspect)
    rows = _span(height, tf.sqrt(share * aspect), draw.erased_y)
    columns = _span(width, tf.sqrt(share / aspect), draw.erased_x)
    color = 255 * tf.stack([draw.erased_red, draw.erased_green, draw.erased_blue][:channels])
    return tf.where((rows[:, None] & columns)[..., None], color, image)


def _span(side_px: int, share: Any, place: Any) -> Any:
    """`[side_px]` bool: a run of whole pixels, at most that share of the side, `place` (0..1) of the way along it."""
    length_px = tf.floor(tf.minimum(share, 1.0) * side_px)
    start_px = tf.floor(place * (side_px - length_px + 1))
    pixel = tf.range(side_px, dtype=tf.float32)
    return (pixel >= start_px) & (pixel < start_px + length_px)
