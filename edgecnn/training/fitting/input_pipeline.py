"""Batches of prepared photos or of their features: in order for measuring, shuffled for training.

The batch of a training step depends only on the seed and the number of the step, so that a resumed run continues as if
it had not been interrupted.
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
"""Number of feature rows in a batch for measuring."""


class Labeled(NamedTuple):
    """Prepared photos and their classes."""

    pixels: NDArray[np.uint8] | Rows
    """uint8 `[n, height, width, channels]`."""
    classes: NDArray[np.int64]
    """Class indices, `[n]`."""


class Samples(NamedTuple):
    """Inputs of a network with their targets."""

    rows: NDArray[Any] | Rows
    """Pixels, uint8 `[n, height, width, channels]`, or features, float32 `[n, features]`."""
    targets: NDArray[np.float32]
    """`[n, classes]`."""
    weights: NDArray[np.float32]
    """Weight of each sample in the loss, `[n]`."""


class Variation(NamedTuple):
    """Random changes to training photos."""

    augment: AugmentSettings
    mixup: float
    """Alpha of the Beta distribution of the shares of two blended photos; 0 for no blending."""


def labeled_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> Labeled:
    """Prepare photos with the shared preprocessing, or take them from the cache.

    Args:
        examples: Photos of a data set.
        spec: Preprocessing of the model.
        progress: Receives the number of photos prepared.

    Returns:
        Pixels and class indices, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
        WriteError: The cache cannot be used.
    """
    return Labeled(cached_pixels(examples, spec, progress), classes_of(examples))


def classes_of(examples: Sequence[Example]) -> NDArray[np.int64]:
    """Return the class indices of photos.

    Args:
        examples: Photos of a data set.

    Returns:
        Class indices, `[n]`.
    """
    return np.array([example.label for example in examples], np.int64)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of batches that contain every sample at least once.

    Args:
        count: Number of samples.
        batch_size: Number of samples in a batch. All batches are full: the last one of an epoch continues with samples
            of the next epoch.

    Returns:
        The number of batches, rounded up.
    """
    return -(-count // batch_size)


# ---- for measuring


def pixel_batches(samples: Samples, spec: PreprocessSpec, batch_size: int) -> tf.data.Dataset:
    """Batch photos in order, for measuring.

    Args:
        samples: Prepared photos and their targets.
        spec: Preprocessing of the model, for its normalization.
        batch_size: Number of photos in a batch; the last one may be smaller.

    Returns:
        Batches of normalized photos, float32 `[batch, height, width, channels]`, and targets `[batch, classes]`.
    """
    return _in_order(samples, batch_size, lambda pixels: normalize(pixels, spec))


def feature_batches(samples: Samples) -> tf.data.Dataset:
    """Batch features in order, for measuring.

    Args:
        samples: Features and their targets.

    Returns:
        Batches of features, float32 `[batch, features]`, and targets `[batch, classes]`.
    """
    return _in_order(samples, _MEASURED_AT_ONCE, lambda features: features)


def _in_order(samples: Samples, batch_size: int, to_float: Callable[[Any], Any]) -> tf.data.Dataset:
    def read(start: Any) -> tuple[Any, Any]:
        rows = slice(int(start), int(start) + batch_size)
        return to_float(samples.rows[rows]), samples.targets[rows]

    def fetch(start: Any) -> tuple[Any, Any]:
        rows, targets = tf.numpy_function(read, [start], (tf.float32, tf.float32))
        rows.set_shape((None, *samples.rows.shape[1:]))
        targets.set_shape((None, samples.targets.shape[1]))
        return rows, targets

    starts = tf.data.Dataset.range(0, len(samples.rows), batch_size)
    return _sharded_by_sample(starts.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(2))


# ---- for training


def shuffled_features(samples: Samples, batch_size: int, *, seed: int, first_step: int) -> tf.data.Dataset:
    """Shuffle features for training.

    Args:
        samples: Features, targets and weights.
        batch_size: Number of rows in a batch.
        seed: Seed of the order; the same seed gives the same batches.
        first_step: Number of the first batch, counted from 0 over all epochs of the phase.

    Returns:
        Endless batches of features `[batch, features]`, targets `[batch, classes]` and weights `[batch]`, float32.
    """

    def read(indices: Any) -> tuple[Any, Any, Any]:
        return samples.rows[indices], samples.targets[indices], samples.weights[indices]

    def fetch(indices: Any) -> tuple[Any, Any, Any]:
        batch = tf.numpy_function(read, [indices], (tf.float32, tf.float32, tf.float32))
        return _shaped(batch, samples, (batch_size,))

    order = _order(len(samples.rows), seed, first_step * batch_size).map(lambda number, index: index)
    indices = order.batch(batch_size, drop_remainder=True)
    return _sharded_by_sample(indices.map(fetch, num_parallel_calls=2, deterministic=True).prefetch(4))


def shuffled_photos(
    samples: Samples, spec: PreprocessSpec, batch_size: int, variation: Variation, *, seed: int, first_step: int
) -> tf.data.Dataset:
    """Shuffle, vary and normalize photos for training.

    Args:
        samples: Prepared photos, targets and weights.
        spec: Preprocessing of the model, for its normalization.
        batch_size: Number of photos in a batch.
        variation: Random changes to photos.
        seed: Seed of the order and of the changes; the same seed gives the same batches.
        first_step: Number of the first batch, counted from 0 over all epochs of the phase.

    Returns:
        Endless batches of photos `[batch, height, width, channels]`, targets `[batch, classes]` and weights `[batch]`,
        float32.
    """

    def read(index: Any) -> tuple[Any, Any, Any]:
        row = int(index)
        return samples.rows[row].astype(np.float32), samples.targets[row], samples.weights[row]

    def vary(number: Any, index: Any) -> tuple[Any, Any, Any]:
        fetched = tf.numpy_function(read, [index], (tf.float32, tf.float32, tf.float32))
        image, target, weight = _shaped(fetched, samples, ())
        # The running number continues over epochs, so a photo looks different in each.
        image = augment(image, tf.stack([tf.constant(seed, tf.int64), number]), variation.augment)
        return (image - tf.constant(spec.mean)) / tf.constant(spec.std), target, weight

    varied = _order(len(samples.rows), seed, first_step * batch_size).map(
        vary, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    photos = varied.batch(batch_size, drop_remainder=True)
    if variation.mixup:
        numbered = tf.data.Dataset.zip((tf.data.Dataset.range(first_step, tf.int64.max), photos))
        photos = numbered.map(lambda step, batch: mixed_up(*batch, alpha=variation.mixup, seed=(seed, step)))
    return _sharded_by_sample(photos.prefetch(2))


def mixed_up(images: Any, targets: Any, weights: Any, *, alpha: float, seed: Any) -> tuple[Any, Any, Any]:
    """Blend every photo of a batch with the one before it (Zhang et al., "mixup", 2018).

    The shares are drawn from Beta(alpha, alpha), as the quotient of two Gamma variates. The order of the batch is
    already random, so the neighbor is as good a partner as any.

    Args:
        images: float32 `[batch, height, width, channels]`.
        targets: float32 `[batch, classes]`.
        weights: Weights in the loss, float32 `[batch]`.
        alpha: Parameter of the Beta distribution, above 0.
        seed: Two integers.

    Returns:
        Blended images, targets and weights, with the shapes of the arguments.
    """
    gammas = tf.random.stateless_gamma([2, tf.shape(images)[0]], tf.cast(tf.stack(seed), tf.int64), alpha)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)

    def blend(values: Any) -> Any:
        own = tf.reshape(share, [-1] + [1] * (values.shape.rank - 1))
        return own * values + (1 - own) * tf.roll(values, 1, axis=0)

    return blend(images), blend(targets), blend(weights)


def _order(count: int, seed: int, first: int) -> tf.data.Dataset:
    """Yield pairs of a running number, from `first` on, and an index.

    Every round of `count` pairs contains every index once.
    """
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


def _sharded_by_sample(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Let each of several workers take its share of every batch; all of them make the same batches."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
