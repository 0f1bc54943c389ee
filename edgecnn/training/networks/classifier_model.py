"""The classifier that a run trains: a backbone, dropout and one dense layer, as one flat graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.run.run_folder import RunFolder, RunRecord
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import block_of, blocks, build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.weights import starting_weights

HEAD = "classifier"
"""Name of the layer that is trained first and never frozen."""


def preprocess_spec(settings: TrainSettings) -> PreprocessSpec:
    """Return the preprocessing of a run.

    Args:
        settings: Settings of `edgecnn train`. If only one of height and width is set, the input is square.

    Returns:
        The geometry of the settings and the normalization of the backbone.

    Raises:
        UnknownName: The settings name an unknown backbone.
        InputError: The backbone does not come in the width that the settings ask for.
    """
    backbone = backbone_spec(settings.model, settings.alpha)
    return PreprocessSpec(
        height=settings.height or settings.width or backbone.height,
        width=settings.width or settings.height or backbone.width,
        resize=settings.resize,
        crop_fraction=settings.crop_fraction,
        interpolation=settings.interpolation,
        mean=backbone.mean,
        std=backbone.std,
    )


def head_dropout(settings: TrainSettings) -> float:
    """Return the dropout rate before the last layer.

    Args:
        settings: Settings of `edgecnn train`.

    Returns:
        The rate of the settings, or the network's own if they have none.
    """
    own = backbone_spec(settings.model, settings.alpha).dropout
    return own if settings.dropout is None else settings.dropout


def is_pretrained(settings: TrainSettings) -> bool:
    """Return True if the backbone starts from trained weights.

    Args:
        settings: Settings of `edgecnn train`.

    Returns:
        False if the backbone starts from random weights.
    """
    return starting_weights(settings.weights, backbone_spec(settings.model, settings.alpha)) is not None


def attach_head(backbone: keras.Model, classes: int, dropout: float) -> keras.Model:
    """Build a classifier on top of a backbone.

    Args:
        backbone: Model from normalized images to features `[None, features]`. Its layers are shared, not copied.
        classes: Number of classes.
        dropout: Dropout rate before the last layer.

    Returns:
        A model from normalized images to probabilities `[None, classes]`.
    """
    return keras.Model(backbone.input, _head(classes, dropout)(backbone.output), name=backbone.name)


def head_model(features: int, classes: int, dropout: float) -> keras.Model:
    """Build a head without its backbone.

    Args:
        features: Length of a feature vector.
        classes: Number of classes.
        dropout: Dropout rate before the last layer.

    Returns:
        A model from `[None, features]` to probabilities `[None, classes]`. Its weights fit the head that `attach_head`
        adds.
    """
    inputs = keras.Input([features], name="features")
    return keras.Model(inputs, _head(classes, dropout)(inputs), name="head")


def load_float_model(folder: RunFolder, record: RunRecord) -> keras.Model:
    """Load the trained float model of a run.

    Args:
        folder: Run folder with `float.h5`.
        record: Content of the run's `run.json`.

    Returns:
        The model, with the same layers frozen as at the end of the training.
    """
    spec, settings = record.preprocess, record.settings
    backbone = build_backbone(
        backbone_spec(settings.model, settings.alpha), height=spec.height, width=spec.width, weights=None
    )
    model = attach_head(backbone, len(record.labels), head_dropout(settings))
    model.load_weights(folder.float_weights)
    if is_pretrained(settings):
        freeze(model)
        if settings.fine_tune_epochs:
            unfreeze(model, settings.unfreeze, settings.model)
    return model


def freeze(model: keras.Model) -> None:
    """Freeze every layer except the head.

    Args:
        model: Model of `attach_head`.
    """
    for layer in model.layers:
        layer.trainable = layer.name == HEAD


def unfreeze(model: keras.Model, selection: int | str, name: str) -> None:
    """Make the head and the selected layers trainable, and freeze all others.

    Batch normalization always stays frozen. Keras then runs it in inference mode, with the statistics of ImageNet,
    which a small data set and small batches would only make worse.

    Args:
        model: Model of `attach_head`.
        selection: Layers to unfreeze, as in `layers_to_unfreeze`.
        name: Name of the network, for error messages.

    Raises:
        InputError: As `layers_to_unfreeze`.
    """
    selected = layers_to_unfreeze(model, selection, name)
    for layer in model.layers:
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name == HEAD or (layer.name in selected and not normalizes)


def check_unfreeze(model: keras.Model, selection: int | str, name: str) -> None:
    """Check that a model has the layers to unfreeze, without changing the model.

    Args:
        model: Model of `attach_head`.
        selection: Layers to unfreeze, as in `layers_to_unfreeze`.
        name: Name of the network, for error messages.

    Raises:
        InputError: As `layers_to_unfreeze`.
    """
    layers_to_unfreeze(model, selection, name)


def layers_to_unfreeze(model: keras.Model, selection: int | str, name: str) -> frozenset[str]:
    """Return the layers that a selection stands for.

    Args:
        model: Model of `attach_head`.
        selection: The last N blocks, everything from a named layer onwards, or "all" (`TrainSettings.unfreeze`).
        name: Name of the network, for error messages.

    Returns:
        Names of layers.

    Raises:
        InputError: The network has fewer than N blocks, or no layer of that name (`UnknownName`).
    """
    layers = [layer.name for layer in model.layers]
    if selection == "all":
        return frozenset(layers)
    if isinstance(selection, str):
        if selection not in layers:
            raise UnknownName(f"layer of {name} in --unfreeze", selection, ("all", *layers))
        return frozenset(layers[layers.index(selection) :])
    known = blocks(model)
    if selection > len(known):
        raise InputError(f"{name} has {len(known)} blocks, got --unfreeze {selection}")
    last = known[len(known) - selection :]
    return frozenset(layer for layer in layers if block_of(layer) in last)


def _head(classes: int, dropout: float) -> Callable[[Any], Any]:
    # Probabilities need more precision than float16, even if the rest of the network is computed in float16.
    dense = keras.layers.Dense(classes, activation="softmax", dtype="float32", name=HEAD)
    drop = keras.layers.Dropout(dropout, name="dropout")
    return lambda features: dense(drop(features))
