"""Random changes to training photos, after the shared preprocessing and before normalisation."""

from __future__ import annotations

from typing import Any

from edgecnn.train.keras import tf

MIN_CROP = 0.8
"""The smallest side of a random crop, as a fraction of the image's."""
MAX_BRIGHTNESS = 0.15
"""The largest shift in brightness, as a fraction of white."""
MAX_CONTRAST = 0.2
"""The largest change of contrast, as a fraction."""


def augment(image: Any, seed: Any, *, flip: bool) -> Any:
    """A random variant of a float32 `[height, width, 3]` image in 0..255, of the same shape and range.

    Crop with zoom, brightness, contrast and, if asked for, a horizontal flip. The same `seed` (two int64) gives the
    same variant.
    """
    seeds = tf.random.split(seed, 5)
    image = _random_crop(image, seeds[0], seeds[1])
    if flip:
        image = tf.image.stateless_random_flip_left_right(image, seeds[2])
    image = tf.image.stateless_random_brightness(image, MAX_BRIGHTNESS * 255, seeds[3])
    image = tf.image.stateless_random_contrast(image, 1 - MAX_CONTRAST, 1 + MAX_CONTRAST, seeds[4])
    return tf.clip_by_value(image, 0.0, 255.0)


def _random_crop(image: Any, size_seed: Any, place_seed: Any) -> Any:
    side = tf.random.stateless_uniform([], size_seed, MIN_CROP, 1.0)
    top_left = tf.random.stateless_uniform([2], place_seed) * (1.0 - side)
    box = tf.concat([top_left, top_left + side], axis=0)
    return tf.image.crop_and_resize(image[None], box[None], [0], tf.shape(image)[:2])[0]
