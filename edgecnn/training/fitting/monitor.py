"""The metric that decides which epoch is the best: the validation loss, or one that the user names.

The names are `val_loss`, `val_accuracy`, `val_auc`, and `val_precision`, `val_recall` and `val_f1`. The last three are
means over the classes, or the value of one class: `val_recall:pneumonia`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap
from edgecnn.core.run.best_epoch import lowest_is_best
from edgecnn.training.keras import keras, tf

_Rate = Literal["precision", "recall", "f1"]
_RATES: tuple[_Rate, ...] = ("precision", "recall", "f1")
_NAMES = ("val_loss", "val_accuracy", "val_auc", *(f"val_{rate}" for rate in _RATES))


class Monitor(NamedTuple):
    """A metric of every epoch, and the direction in which it improves."""

    name: str
    """Name under which Keras logs the metric."""
    mode: Literal["min", "max"]
    """`min` if the lowest value is the best."""

    @property
    def worst(self) -> float:
        """A value that every number is better than."""
        return math.inf if self.mode == "min" else -math.inf

    def better(self, value: float, than: float) -> bool:
        """Return True if `value` is strictly better.

        Args:
            value: Value of an epoch. NaN is never better.
            than: Value to compare it with.

        Returns:
            True if `value` is better than `than`.
        """
        return value < than if self.mode == "min" else value > than

    def improved(self, value: float, margin: float) -> float:
        """Return a value that is better by a margin.

        Args:
            value: Value to start from.
            margin: Size of the improvement, 0 or more.

        Returns:
            `value` minus `margin` if the lowest value is the best, else their sum.
        """
        return value - margin if self.mode == "min" else value + margin


VAL_ACCURACY = Monitor("val_accuracy", "max")


def parse_monitor(text: str, labels: LabelMap) -> Monitor:
    """Parse the value of `--monitor`.

    Args:
        text: Name of a metric, such as `val_loss`, or of one for a single class, such as `val_recall:pneumonia`.
        labels: Classes of the data set.

    Returns:
        The metric and its direction.

    Raises:
        UnknownName: There is no such metric or class.
        InputError: A class is given for a metric that exists only for all classes together.
    """
    name, colon, label = text.partition(":")
    if name not in _NAMES:
        raise UnknownName("--monitor", name, (*_NAMES, *(f"val_{rate}:CLASS" for rate in _RATES)))
    if colon and name.removeprefix("val_") not in _RATES:
        raise InputError(f"--monitor {name} is a single value for all classes, got {text!r}; remove {':' + label!r}")
    if colon and label not in labels.names:
        raise UnknownName("class in --monitor", label, labels.names)
    return Monitor(text, "min" if lowest_is_best(name) else "max")


def metrics_for(monitor: Monitor, labels: LabelMap) -> list[keras.metrics.Metric]:
    """Return the Keras metrics that a monitor needs.

    Args:
        monitor: Metric that decides which epoch is the best.
        labels: Classes of the data set.

    Returns:
        The accuracy, and the monitored metric unless Keras logs it anyway.
    """
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    name, _, label = monitor.name.removeprefix("val_").partition(":")
    if name == "auc":
        metrics.append(keras.metrics.AUC(name="auc", multi_label=True, num_labels=len(labels)))
    elif name in _RATES:
        index = labels.names.index(label) if label else None
        metrics.append(ClassRate(name, len(labels), index, name=monitor.name.removeprefix("val_")))
    return metrics


class ClassRate(keras.metrics.Metric):  # type: ignore[misc]
    """Precision, recall or F1 of one class, or the mean over all, with the most probable class as the decision."""

    def __init__(self, rate: str, classes: int, index: int | None, *, name: str) -> None:
        super().__init__(name=name)
        self._rate = rate
        self._classes = classes
        self._index = index
        self._counts = self.add_weight(name="counts", shape=(classes, classes), initializer="zeros")

    def update_state(self, truth: Any, probabilities: Any, sample_weight: Any = None) -> None:
        """Count the decisions of a batch by true class and decision.

        Args:
            truth: One-hot targets, float32 `[n, classes]`.
            probabilities: Outputs of the network, float32 `[n, classes]`.
            sample_weight: Ignored: every photo counts once, whatever its weight in the loss.
        """
        decided = tf.argmax(probabilities, axis=-1)
        counts = tf.math.confusion_matrix(tf.argmax(truth, axis=-1), decided, self._classes, dtype=tf.float32)
        self._counts.assign_add(counts)

    def reset_state(self) -> None:
        """Forget all decisions."""
        self._counts.assign(tf.zeros_like(self._counts))

    def result(self) -> Any:
        """Return the rate as a scalar tensor; 0 if nothing was counted for it."""
        hits = tf.linalg.diag_part(self._counts)
        support, decided = tf.reduce_sum(self._counts, axis=1), tf.reduce_sum(self._counts, axis=0)
        # F1 = 2PR / (P + R) with the common factors canceled.
        parts = {"precision": (hits, decided), "recall": (hits, support), "f1": (2 * hits, support + decided)}
        rates = tf.math.divide_no_nan(*parts[self._rate])
        return tf.reduce_mean(rates) if self._index is None else rates[self._index]
