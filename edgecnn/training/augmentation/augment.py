"""Random changes to training photos, after the shared preprocessing and before normalization.

The order follows the path of the light through a camera: viewpoint (geometry), light (color), lens (blur), sensor
(noise), file (JPEG). Erasing comes last, so that no other change softens or moves the edges of the rectangle.

The changes are TensorFlow's own stateless operations, because imgaug, KerasCV and Albumentations are no longer
maintained, and the successor of the last one is under the AGPL.
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
"""Number of standard deviations at which a Gaussian is cut off."""
_MAX_ASPECT = 3.0
"""Largest ratio of the sides of an erased rectangle, each measured as a share of the photo's side."""


class _Draws(NamedTuple):
    # Every change has its own numbers, whether it is on or off, so that switching one on does not change the others.
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
    """Change a photo at random.

    A change that is off is not in the graph; if all of them are off, the result equals the image to the bit.

    Args:
        image: Prepared photo, float32 `[height, width, 1 or 3]` in 0..255. Its shape must be known when the graph is
            built.
        seed: Two int64; the same seed gives the same variant, on a CPU to the bit.
        settings: Strength of each change. The saturation is ignored for an image with one channel.

    Returns:
        The variant, with the shape and range of `image`.
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
    """Change brightness, contrast and saturation.

    Brightness is added. Contrast scales the distance from each channel's mean, saturation the distance from gray.
    """
    if settings.brightness:
        image = tf.image.adjust_brightness(image, to_symmetric(draw.brightness) * settings.brightness * 255)
    if settings.contrast:
        image = tf.image.adjust_contrast(image, 1 + to_symmetric(draw.contrast) * settings.contrast)
    if settings.saturation and image.shape[-1] == _RGB:
        gray = tf.image.rgb_to_grayscale(image)
        image = gray + (1 + to_symmetric(draw.saturation) * settings.saturation) * (image - gray)
    return image


def _blurred(image: Any, sigma_px: Any, max_sigma_px: float) -> Any:
    """Blur with a Gaussian, along the columns and then along the rows; the photo is reflected beyond its edges."""
    height, width, channels = image.shape
    reach = min(math.ceil(_BLUR_REACH * max_sigma_px), height - 1, width - 1)
    steps = tf.range(-reach, reach + 1, dtype=tf.float32)
    # The lower limit avoids a division by 0; at that width the kernel is a single 1.
    weights = tf.exp(-0.5 * (steps / tf.maximum(sigma_px, 1e-3)) ** 2)
    kernel = tf.tile((weights / tf.reduce_sum(weights))[:, None, None, None], [1, 1, channels, 1])
    blurred = tf.pad(image, [[reach, reach], [reach, reach], [0, 0]], "REFLECT")[None]
    for along in (kernel, tf.transpose(kernel, [1, 0, 2, 3])):
        blurred = tf.nn.depthwise_conv2d(blurred, along, [1, 1, 1, 1], "VALID")
    return blurred[0]


def _compressed(image: Any, quality: Any) -> Any:
    """Encode as JPEG of a quality (1..100) and decode again."""
    as_bytes = tf.saturate_cast(tf.round(image), tf.uint8)
    read_back = tf.image.adjust_jpeg_quality(as_bytes, tf.cast(tf.round(quality), tf.int32))
    return tf.ensure_shape(tf.cast(read_back, tf.float32), image.shape)


def _erased(image: Any, draw: _Draws, max_share: float) -> Any:
    """Cover a rectangle with one color, like an object in front of the scene (Zhong et al. 2017, Random Erasing)."""
    height, width, channels = image.shape
    share = draw.erased_share * max_share
    aspect = _MAX_ASPECT ** to_symmetric(draw.erased_aspect)
    rows = _span(height, tf.sqrt(share * aspect), draw.erased_y)
    columns = _span(width, tf.sqrt(share / aspect), draw.erased_x)
    color = 255 * tf.stack([draw.erased_red, draw.erased_green, draw.erased_blue][:channels])
    return tf.where((rows[:, None] & columns)[..., None], color, image)


def _span(side_px: int, share: Any, position: Any) -> Any:
    """Return a mask, bool `[side_px]`, of consecutive pixels.

    They cover at most `share` of the side; `position` is 0 for its beginning and 1 for its end.
    """
    length_px = tf.floor(tf.minimum(share, 1.0) * side_px)
    start_px = tf.floor(position * (side_px - length_px + 1))
    pixel = tf.range(side_px, dtype=tf.float32)
    return (pixel >= start_px) & (pixel < start_px + length_px)
