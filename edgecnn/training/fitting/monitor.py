"""What says which epoch is the best: the validation loss, or a figure that matters more to the one who trains.

`val_loss`, `val_accuracy`, `val_auc`, and `val_precision`, `val_recall` and `val_f1` as the mean over the classes, or
of one of them: `val_recall:pneumonia`.
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
    """A figure of every epoch, under the name that Keras logs it by, and whether the lowest or the highest is best."""

    name: str
    mode: Literal["min", "max"]

    @property
    def worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    def better(self, value: float, than: float) -> bool:
        return value < than if self.mode == "min" else value > than


VAL_ACCURACY = Monitor("val_accuracy", "max")


def parse_monitor(text: str, labels: LabelMap) -> Monitor:
    """The `Monitor` of a name. Raises `UnknownName` for a figure or a class that there is not."""
    name, colon, label = text.partition(":")
    if name not in _NAMES:
        raise UnknownName("--monitor", name, (*_NAMES, *(f"val_{rate}:CLASS" for rate in _RATES)))
    if colon and name.removeprefix("val_") not in _RATES:
        raise InputError(f"--monitor {name} is one figure for all classes, got {text!r}; leave {':' + label!r} out")
    if colon and label not in labels.names:
        raise UnknownName("class in --monitor", label, labels.names)
    return Monitor(text, "min" if lowest_is_best(name) else "max")


def metrics_for(monitor: Monitor, labels: LabelMap) -> list[keras.metrics.Metric]:
    """The Keras metrics that log `monitor`; accuracy is always among them."""
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    name, _, label = monitor.name.removeprefix("val_").partition(":")
    if name == "auc":
        metrics.append(keras.metrics.AUC(name="auc", multi_label=True, num_labels=len(labels)))
    elif name in _RATES:
        index = labels.names.index(label) if label else None
        metrics.append(ClassRate(name, len(labels), index, name=monitor.name.removeprefix("val_")))
    return metrics


class ClassRate(keras.metrics.Metric):  # type: ignore[misc]
    """Precision, recall or F1 of one class, or the mean over all, from decisions by the highest probability."""

    def __init__(self, rate: str, classes: int, index: int | None, *, name: str) -> None:
        super().__init__(name=name)
        self._rate = rate
        self._classes = classes
        self._index = index
        self._counts = self.add_weight(name="counts", shape=(classes, classes), initializer="zeros")

    def update_state(self, truth: Any, probabilities: Any, sample_weight: Any = None) -> None:
        """Counts decisions, `[truth, decision]`; every photo counts once, whatever it weighs in the loss."""
        decided = tf.argmax(probabilities, axis=-1)
        counts = tf.math.confusion_matrix(tf.argmax(truth, axis=-1), decided, self._classes, dtype=tf.float32)
        self._counts.assign_add(counts)

    def reset_state(self) -> None:
        self._counts.assign(tf.zeros_like(self._counts))

    def result(self) -> Any:
        hits = tf.linalg.diag_part(self._counts)
        support, decided = tf.reduce_sum(self._counts, axis=1), tf.reduce_sum(self._counts, axis=0)
        # F1 = 2PR / (P + R) with the common factors canceled.
        parts = {"precision": (hits, decided), "recall": (hits, support), "f1": (2 * hits, support + decided)}
        rates = tf.math.divide_no_nan(*parts[self._rate])
        return tf.reduce_mean(rates) if self._index is None else rates[self._index]
