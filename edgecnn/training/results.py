"""What a training came to, measured on validation and test photos."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import TEST, VALIDATION
from edgecnn.core.metrics.accuracy import AccuracyMetrics, accuracy_metrics
from edgecnn.training.features.cache import cached_pixels
from edgecnn.training.features.row_store import Rows
from edgecnn.training.fitting.input_pipeline import classes_of
from edgecnn.training.fitting.loop import probabilities_of
from edgecnn.training.fitting.phases import Training, split_features
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import HEAD, head_model


class Measured(NamedTuple):
    """A split of the photos under the trained network."""

    split: str
    probabilities: NDArray[np.float32]
    """`[n, classes]`."""
    truth: NDArray[np.int64]
    """`[n]` class indices."""
    metrics: AccuracyMetrics


def measure(model: keras.Model, backbone: keras.Model | None, training: Training) -> tuple[Measured, ...]:
    """Validation and, where there are any, test photos. `backbone` is given where it is as it was pretrained."""
    features = split_features(backbone, training) if backbone else {}
    return tuple(
        _measured(split, _probabilities(split, model, features.get(split), training), training)
        for split in (VALIDATION, TEST)
        if training.dataset.splits.get(split)
    )


def run_metrics(measured: tuple[Measured, ...]) -> dict[str, float]:
    """The figures that a run's record has, named `<split>_<metric>`; what a split cannot tell is left out."""
    figures: dict[str, float] = {}
    for split, _, _, metrics in measured:
        named = {
            "accuracy": metrics.top1,
            "macro_precision": metrics.macro.precision,
            "macro_recall": metrics.macro.recall,
            "macro_f1": metrics.macro.f1,
            "auc_roc": metrics.auc_roc,
            "ece": metrics.reliability.ece if metrics.reliability else None,
        }
        figures |= {f"{split}_{name}": value for name, value in named.items() if value is not None}
    return figures


def _measured(split: str, probabilities: NDArray[np.float32], training: Training) -> Measured:
    truth = classes_of(training.dataset.splits[split])
    return Measured(split, probabilities, truth, accuracy_metrics(probabilities, truth, training.dataset.labels))


def _probabilities(split: str, model: keras.Model, features: Rows | None, training: Training) -> NDArray[np.float32]:
    if features is None:
        pixels = cached_pixels(training.dataset.splits[split], training.spec, training.progress)
        return probabilities_of(model, pixels, training.spec, split, training.progress)
    head = head_model(features.shape[-1], len(training.dataset.labels), training.dropout)
    head.get_layer(HEAD).set_weights(model.get_layer(HEAD).get_weights())
    return np.asarray(head.predict(np.asarray(features), batch_size=256, verbose=0), np.float32)
