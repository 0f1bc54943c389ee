"""Loss, optimizer, learning-rate schedule and weights of the photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.fitting.monitor import Monitor, metrics_for
from edgecnn.training.keras import keras

_MOMENTUM = 0.9


def compile_classifier(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    labels: LabelMap,
    monitor: Monitor,
    *,
    label_smoothing: float = 0.0,
    xla: bool = False,
    steps_per_execution: int = 1,
) -> None:
    """Compile a model with the cross-entropy over one-hot or blended targets `[n, classes]`.

    Args:
        model: Classifier that ends in a softmax.
        optimizer: New optimizer; it becomes the model's.
        labels: Classes of the data set.
        monitor: Metric to log besides the loss and the accuracy.
        label_smoothing: Share of each target that is spread evenly over the classes, from 0 to 1.
        xla: Compile the training step with XLA.
        steps_per_execution: Number of steps that TensorFlow runs per call from Python.
    """
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=metrics_for(monitor, labels),
        jit_compile=xla,
        steps_per_execution=steps_per_execution,
    )


def optimizer_of(settings: TrainSettings, learning_rate: float, *, steps_per_epoch: int, epochs: int) -> Any:
    """Create the optimizer of a phase.

    Args:
        settings: Kind of optimizer, weight decay, schedule and warm-up.
        learning_rate: Peak learning rate.
        steps_per_epoch: Number of steps per epoch.
        epochs: Maximum number of epochs of the phase.

    Returns:
        A Keras optimizer. Only the cosine schedule is part of it, with its warm-up; callbacks do the others.
    """
    rate = _cosine(settings, learning_rate, steps_per_epoch, epochs) if settings.schedule == "cosine" else learning_rate
    decay = settings.weight_decay or None
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=_MOMENTUM, nesterov=True, weight_decay=decay)
    elif settings.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def class_weights(classes: NDArray[np.int64], labels: Sequence[str], *, balance: bool) -> NDArray[np.float32]:
    """Compute the weight of every photo in the loss.

    Args:
        classes: Class indices, `[n]`.
        labels: Names of the classes.
        balance: Give every class the same total weight, however many photos it has.

    Returns:
        Weights, float32 `[n]`: 1, or with `balance` n / (number of classes x photos of the class), whose mean is 1.
    """
    if not balance:
        return np.ones(len(classes), np.float32)
    counts = np.bincount(classes, minlength=len(labels))
    return (len(classes) / (len(labels) * counts[classes])).astype(np.float32)


def one_hot(classes: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.float32]:
    """Convert class indices to targets.

    Args:
        classes: Class indices, `[n]`.
        labels: Names of the classes.

    Returns:
        Targets, float32 `[n, classes]`.
    """
    return np.eye(len(labels), dtype=np.float32)[classes]


def _cosine(settings: TrainSettings, peak: float, steps_per_epoch: int, epochs: int) -> Any:
    """Rise linearly from 0 to `peak`, then fall to 0 along half a cosine (Loshchilov and Hutter, "SGDR", 2017)."""
    warmup_steps = min(round(settings.warmup_epochs * steps_per_epoch), steps_per_epoch * epochs - 1)
    decay_steps = steps_per_epoch * epochs - warmup_steps
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps)
    return keras.optimizers.schedules.CosineDecay(0.0, decay_steps, warmup_target=peak, warmup_steps=warmup_steps)
