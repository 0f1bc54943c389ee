"""A network's layers worked out by hand, as it were, and checked against what Keras has built."""

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
    """A network of the zoo as it was published, or under the head that training gives it for so many `classes`.

    The input is the published size unless given; of one side alone, it is square. Raises `InputError` for a size that
    the network cannot take.
    """
    height, width = height or width or spec.height, width or height or spec.width
    if classes is not None or spec.classes != IMAGENET_CLASSES:
        backbone = build_backbone(spec, height=height, width=width, weights=None)
        return summarize(attach_head(backbone, classes or spec.classes, dropout=0.0))
    return summarize(build_imagenet_classifier(spec, height=height, width=width, weights=None))


def summarize_run(run: Path) -> ModelSummary:
    """The float model of a run; trainable is what its training moved. Raises `InputError` for what is no run folder."""
    return summarize(load_float_model(*read_run(run)))


def summarize(model: keras.Model) -> ModelSummary:
    """A functional Keras model without nested models, each layer of which is used once.

    Raises `EdgecnnError` where the formulas come to other output sizes or counts than the built model has.
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


def _check_total(what: str, worked_out: int, built: int) -> None:
    if worked_out != built:
        raise EdgecnnError(
            f"expected {worked_out} {what} by the formulas, got {built} in the built model; "
            "this is a mistake in edgecnn, please report it"
        )
