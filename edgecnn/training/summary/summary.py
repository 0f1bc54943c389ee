"""Summaries of networks: every layer is computed by formulas and checked against the network that Keras built."""

from __future__ import annotations

from math import prod
from pathlib import Path

from edgecnn.core.errors import EdgecnnError
from edgecnn.core.run.run_folder import read_run
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import IMAGENET_CLASSES, build_backbone, build_imagenet_classifier
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.classifier_model import attach_head, load_float_model
from edgecnn.training.summary.layers import Layer, layer_row
from edgecnn.training.summary.rows import LayerRow, ModelSummary


def summarize_backbone(
    spec: BackboneSpec, *, height: int | None = None, width: int | None = None, classes: int | None = None
) -> ModelSummary:
    """Summarize a backbone as it was published, or with the head that training adds.

    Args:
        spec: Backbone.
        height: Input height in pixels; `width` if only that is given, otherwise the published height.
        width: Input width in pixels; `height` if only that is given, otherwise the published width.
        classes: Number of classes of the head that training adds; None for the published head.

    Returns:
        The summary.

    Raises:
        InputError: The network does not support this input size.
    """
    height, width = height or width or spec.height, width or height or spec.width
    if classes is not None or spec.classes != IMAGENET_CLASSES:
        backbone = build_backbone(spec, height=height, width=width, weights=None)
        return summarize(attach_head(backbone, classes or spec.classes, dropout=0.0))
    return summarize(build_imagenet_classifier(spec, height=height, width=width, weights=None))


def summarize_run(run: Path) -> ModelSummary:
    """Summarize the float model of a run.

    Args:
        run: Run folder.

    Returns:
        The summary; trainable are the parameters that the run's training changed.

    Raises:
        InputError: `run` is not a run folder.
    """
    return summarize(load_float_model(*read_run(run)))


def summarize(model: keras.Model) -> ModelSummary:
    """Summarize a Keras model.

    Args:
        model: Functional model without nested models that uses each layer once.

    Returns:
        The summary.

    Raises:
        EdgecnnError: The formulas give other output sizes or counts than the built model has.
    """
    rows: dict[str, LayerRow] = {}
    for layer in model.layers:
        rows[layer.name] = layer_row(layer, [rows[name] for name in _input_names(layer)])
    summary = ModelSummary(model.name, tuple(rows.values()))
    _check_total("parameters", summary.parameters, model.count_params())
    _check_total("trainable parameters", summary.trainable, sum(prod(w.shape) for w in model.trainable_weights))
    return summary


def _input_names(layer: Layer) -> list[str]:
    if isinstance(layer, keras.layers.InputLayer):
        return []
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor.node.layer.name for tensor in inputs]


def _check_total(what: str, computed: int, built: int) -> None:
    if computed != built:
        raise EdgecnnError(
            f"expected {computed} {what} by the formulas, got {built} in the built model; "
            "this is a bug in edgecnn, please report it"
        )
