"""What training minimizes, and by which steps."""

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
    """Cross-entropy over one-hot or blended targets `[n, classes]`, accuracy, and what `monitor` asks for."""
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=metrics_for(monitor, labels),
        jit_compile=xla,
        steps_per_execution=steps_per_execution,
    )


def optimizer_of(settings: TrainSettings, learning_rate: float, *, steps_per_epoch: int, epochs: int) -> Any:
    """The optimizer of a phase at its highest `learning_rate`; a cosine brings its own way there and down."""
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
    """`[n]` weights of photos: 1, or with `balance` n / (number of classes x photos of the class), whose mean is 1."""
    if not balance:
        return np.ones(len(classes), np.float32)
    counts = np.bincount(classes, minlength=len(labels))
    return (len(classes) / (len(labels) * counts[classes])).astype(np.float32)


def one_hot(classes: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.float32]:
    """`[n, classes]` targets of class indices `[n]`."""
    return np.eye(len(labels), dtype=np.float32)[classes]


def _cosine(settings: TrainSettings, height: float, steps_per_epoch: int, epochs: int) -> Any:
    """Linear from 0 to `height` over the warm-up, then half a cosine to 0 (Loshchilov and Hutter, "SGDR", 2017)."""
    warmup_steps = min(round(settings.warmup_epochs * steps_per_epoch), steps_per_epoch * epochs - 1)
    down_steps = steps_per_epoch * epochs - warmup_steps
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(height, down_steps)
    return keras.optimizers.schedules.CosineDecay(0.0, down_steps, warmup_target=height, warmup_steps=warmup_steps)
