"""Prepared photos on their way into a network: in order for measuring, shuffled and augmented for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import Example
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.train.augment import augment
from edgecnn.train.cache import cached_pixels
from edgecnn.train.convert import normalize
from edgecnn.train.keras import tf
from edgecnn.train.row_store import Rows


class Labelled(NamedTuple):
    """Prepared photos, uint8 `[n, height, width, 3]`, and their class indices `[n]`."""

    pixels: NDArray[np.uint8] | Rows
    classes: NDArray[np.int64]


def labelled_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> Labelled:
    """Photos through the shared preprocessing, from the cache where they are in it."""
    return Labelled(cached_pixels(examples, spec, progress), classes_of(examples))


def classes_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """`[n]` class indices."""
    return np.array([example.label for example in examples], np.int64)


def batches(photos: Labelled, spec: PreprocessSpec, batch_size: int) -> tf.data.Dataset:
    """Normalised photos in order, a batch at a time."""

    def read(start: Any) -> tuple[Any, Any]:
        rows = slice(int(start), int(start) + batch_size)
        return normalize(photos.pixels[rows], spec), photos.classes[rows]

    return _from_memory(tf.data.Dataset.range(0, len(photos.classes), batch_size), read, photos, (None,)).prefetch(2)


def augmented_batches(
    photos: Labelled, spec: PreprocessSpec, batch_size: int, *, flip: bool, seed: int
) -> tf.data.Dataset:
    """Endless batches of shuffled and augmented photos; the same seed gives the same ones."""
    count = len(photos.classes)
    order = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=True).repeat()

    def read(index: Any) -> tuple[Any, Any]:
        return photos.pixels[int(index)].astype(np.float32), photos.classes[int(index)]

    def vary(number: Any, photo: tuple[Any, Any]) -> tuple[Any, Any]:
        image, label = photo
        # The running number goes on over epochs, so a photo looks different in each.
        image = augment(image, tf.stack([tf.constant(seed, tf.int64), number]), flip=flip)
        return (image - tf.constant(spec.mean)) / tf.constant(spec.std), label

    stream = _from_memory(order, read, photos, ())
    numbered = tf.data.Dataset.zip((tf.data.Dataset.counter(), stream))
    return numbered.map(vary, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(2)


def _from_memory(indices: tf.data.Dataset, read: Any, photos: Labelled, batch: tuple[None, ...]) -> tf.data.Dataset:
    def fetch(index: Any) -> tuple[Any, Any]:
        image, label = tf.numpy_function(read, [index], (tf.float32, tf.int64))
        image.set_shape((*batch, *photos.pixels.shape[1:]))
        label.set_shape(batch)
        return image, label

    return indices.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
