"""Random changes to training photos, after the shared preprocessing and before normalisation."""

from __future__ import annotations

from typing import Any

from edgecnn.core.augment_settings import AugmentSettings
from edgecnn.train.keras import tf


def augment(image: Any, seed: Any, settings: AugmentSettings) -> Any:
    """A random variant of a float32 `[height, width, 3]` image in 0..255, of the same shape and range.

    The same `seed` (two int64) gives the same variant; a change of strength 0 is left out.
    """
    seeds = tf.random.split(seed, 5)
    if settings.crop:
        image = _random_crop(image, settings.crop, seeds[0], seeds[1])
    if settings.flip:
        image = tf.image.stateless_random_flip_left_right(image, seeds[2])
    if settings.brightness:
        image = tf.image.stateless_random_brightness(image, settings.brightness * 255, seeds[3])
    if settings.contrast:
        image = tf.image.stateless_random_contrast(image, 1 - settings.contrast, 1 + settings.contrast, seeds[4])
    return tf.clip_by_value(image, 0.0, 255.0)


def _random_crop(image: Any, crop: float, size_seed: Any, place_seed: Any) -> Any:
    side = tf.random.stateless_uniform([], size_seed, 1.0 - crop, 1.0)
    top_left = tf.random.stateless_uniform([2], place_seed) * (1.0 - side)
    box = tf.concat([top_left, top_left + side], axis=0)
    return tf.image.crop_and_resize(image[None], box[None], [0], tf.shape(image)[:2])[0]
