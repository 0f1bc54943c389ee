"""Prepared photos, or their features, on their way into a network: in order for measuring, shuffled for training.

What a training step sees depends on the seed and the step's number alone, so that a training which is taken up again
goes on as if it had not been interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import Example
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.training.augmentation.augment import augment
from edgecnn.training.features.cache import cached_pixels
from edgecnn.training.features.row_store import Rows
from edgecnn.training.keras import tf
from edgecnn.training.normalization import normalize

_MEASURED_AT_ONCE = 256
"""Rows of features in a batch that is only measured."""


class Labeled(NamedTuple):
    """Prepared photos, uint8 `[n, height, width, channels]`, and their class indices `[n]`."""

    pixels: NDArray[np.uint8] | Rows
    classes: NDArray[np.int64]


class Samples(NamedTuple):
    """What a network learns from: `rows` are pixels uint8 `[n, height, width, channels]` or features float32 `[n, d]`.

    `targets` are float32 `[n, classes]`, `weights` what each sample counts in the loss, float32 `[n]`.
    """

    rows: NDArray[Any] | Rows
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


class Variation(NamedTuple):
    """How training photos are changed at random."""

    augment: AugmentSettings
    mixup: float
    """Alpha of the Beta distribution of the shares that two photos have in a blend; 0 blends none."""


def labeled_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> Labeled:
    """Photos through the shared preprocessing, from the cache where they are in it."""
    return Labeled(cached_pixels(examples, spec, progress), classes_of(examples))


def classes_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """`[n]` class indices."""
    return np.array([example.label for example in examples], np.int64)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in which every one of `count` samples comes once; the last one ends in the next round."""
    return -(-count // batch_size)


# ---- for measuring


def pixel_batches(samples: Samples, spec: PreprocessSpec, batch_size: int) -> tf.data.Dataset:
    """Normalized photos and targets in order, a batch at a time."""
    return _in_order(samples, batch_size, lambda pixels: normalize(pixels, spec))


def feature_batches(samples: Samples) -> tf.data.Dataset:
    """Features and targets in order."""
    return _in_order(samples, _MEASURED_AT_ONCE, lambda features: features)


def _in_order(samples: Samples, batch_size: int, real: Callable[[Any], Any]) -> tf.data.Dataset:
    def read(start: Any) -> tuple[Any, Any]:
        rows = slice(int(start), int(start) + batch_size)
        return real(samples.rows[rows]), samples.targets[rows]

    def fetch(start: Any) -> tuple[Any, Any]:
        rows, targets = tf.numpy_function(read, [start], (tf.float32, tf.float32))
        rows.set_shape((None, *samples.rows.shape[1:]))
        targets.set_shape((None, samples.targets.shape[1]))
        return rows, targets

    starts = tf.data.Dataset.range(0, len(samples.rows), batch_size)
    return _whole_for_every_worker(starts.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(2))


# ---- for training


def shuffled_features(samples: Samples, batch_size: int, *, seed: int, first_step: int) -> tf.data.Dataset:
    """Endless batches of features, targets and weights from step `first_step` on; the same seed gives the same ones."""

    def read(indices: Any) -> tuple[Any, Any, Any]:
        return samples.rows[indices], samples.targets[indices], samples.weights[indices]

    def fetch(indices: Any) -> tuple[Any, Any, Any]:
        batch = tf.numpy_function(read, [indices], (tf.float32, tf.float32, tf.float32))
        return _shaped(batch, samples, (batch_size,))

    order = _order(len(samples.rows), seed, first_step * batch_size).map(lambda number, index: index)
    indices = order.batch(batch_size, drop_remainder=True)
    return _whole_for_every_worker(indices.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(4))


def shuffled_photos(
    samples: Samples, spec: PreprocessSpec, batch_size: int, variation: Variation, *, seed: int, first_step: int
) -> tf.data.Dataset:
    """Endless batches of varied and normalized photos, targets and weights from step `first_step` on."""

    def read(index: Any) -> tuple[Any, Any, Any]:
        row = int(index)
        return samples.rows[row].astype(np.float32), samples.targets[row], samples.weights[row]

    def vary(number: Any, index: Any) -> tuple[Any, Any, Any]:
        fetched = tf.numpy_function(read, [index], (tf.float32, tf.float32, tf.float32))
        image, target, weight = _shaped(fetched, samples, ())
        # The running number goes on over epochs, so a photo looks different in each.
        image = augment(image, tf.stack([tf.constant(seed, tf.int64), number]), variation.augment)
        return (image - tf.constant(spec.mean)) / tf.constant(spec.std), target, weight

    varied = _order(len(samples.rows), seed, first_step * batch_size).map(
        vary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    photos = varied.batch(batch_size, drop_remainder=True)
    if variation.mixup:
        numbered = tf.data.Dataset.zip((tf.data.Dataset.range(first_step, tf.int64.max), photos))
        photos = numbered.map(lambda step, batch: mixed_up(*batch, alpha=variation.mixup, seed=(seed, step)))
    return _whole_for_every_worker(photos.prefetch(2))


def mixed_up(images: Any, targets: Any, weights: Any, *, alpha: float, seed: Any) -> tuple[Any, Any, Any]:
    """Every photo of a batch blended with the one before it (Zhang et al., "mixup", 2018); targets and weights too.

    The shares are drawn from Beta(alpha, alpha), as the quotient of two Gamma variates. The batch's order is random
    already, so the neighbor is as good a partner as any.
    """
    gammas = tf.random.stateless_gamma([2, tf.shape(images)[0]], tf.cast(tf.stack(seed), tf.int64), alpha)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)

    def blend(values: Any) -> Any:
        own = tf.reshape(share, [-1] + [1] * (values.shape.rank - 1))
        return own * values + (1 - own) * tf.roll(values, 1, axis=0)

    return blend(images), blend(targets), blend(weights)


def _order(count: int, seed: int, first: int) -> tf.data.Dataset:
    """Pairs of a running number from `first` on and an index; every round of `count` has every index once."""
    rounds = tf.data.Dataset.range(first // count, tf.int64.max)
    indices = rounds.flat_map(
        lambda number: tf.data.Dataset.from_tensor_slices(
            tf.random.experimental.stateless_shuffle(
                tf.range(count, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), number])
            )
        )
    ).skip(first % count)
    return tf.data.Dataset.zip((tf.data.Dataset.range(first, tf.int64.max), indices))


def _shaped(batch: Any, samples: Samples, leading: tuple[int, ...]) -> tuple[Any, Any, Any]:
    for tensor, array in zip(batch, samples, strict=True):
        tensor.set_shape((*leading, *array.shape[1:]))
    return tuple(batch)


def _whole_for_every_worker(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Several workers each make all batches, the same ones, and take their share of every one."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
