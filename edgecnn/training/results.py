"""Accuracy of a trained network on validation and test photos."""

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
from edgecnn.training.fitting.phases import RunContext, split_features
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import HEAD, head_model


class Measured(NamedTuple):
    """Outputs of the trained network for a split, and their accuracy."""

    split: str
    probabilities: NDArray[np.float32]
    """`[n, classes]`."""
    truth: NDArray[np.int64]
    """Class indices, `[n]`."""
    metrics: AccuracyMetrics


def measure(model: keras.Model, backbone: keras.Model | None, context: RunContext) -> tuple[Measured, ...]:
    """Measure a network on validation photos and, if there are any, on test photos.

    Args:
        model: Trained network, in float32.
        backbone: Its backbone if that was not trained, since its features are then cached; otherwise None.
        context: The training run.

    Returns:
        Outputs and metrics of each split.
    """
    features = split_features(backbone, context) if backbone else {}
    return tuple(
        _measured(split, _probabilities(split, model, features.get(split), context), context)
        for split in (VALIDATION, TEST)
        if context.dataset.splits.get(split)
    )


def run_metrics(measured: tuple[Measured, ...]) -> dict[str, float]:
    """Collect the metrics for a run's record.

    Args:
        measured: Measured splits.

    Returns:
        Values by `<split>_<metric>`. Metrics that are undefined for a split are left out.
    """
    values: dict[str, float] = {}
    for split, _, _, metrics in measured:
        named = {
            "accuracy": metrics.top1,
            "macro_precision": metrics.macro.precision,
            "macro_recall": metrics.macro.recall,
            "macro_f1": metrics.macro.f1,
            "auc_roc": metrics.auc_roc,
            "ece": metrics.reliability.ece if metrics.reliability else None,
        }
        values |= {f"{split}_{name}": value for name, value in named.items() if value is not None}
    return values


def _measured(split: str, probabilities: NDArray[np.float32], context: RunContext) -> Measured:
    truth = classes_of(context.dataset.splits[split])
    return Measured(split, probabilities, truth, accuracy_metrics(probabilities, truth, context.dataset.labels))


def _probabilities(split: str, model: keras.Model, features: Rows | None, context: RunContext) -> NDArray[np.float32]:
    if features is None:
        pixels = cached_pixels(context.dataset.splits[split], context.spec, context.progress)
        return probabilities_of(model, pixels, context.spec, split, context.progress)
    head = head_model(features.shape[-1], len(context.dataset.labels), context.dropout)
    head.get_layer(HEAD).set_weights(model.get_layer(HEAD).get_weights())
    return np.asarray(head.predict(np.asarray(features), batch_size=256, verbose=0), np.float32)
