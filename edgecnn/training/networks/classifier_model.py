"""The classifier that a run trains: a backbone, dropout and one dense layer, as one flat graph."""

from __future__ import annotations

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.run.run_folder import RunFolder, RunRecord
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import block_of, blocks, build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.weights import starting_weights

HEAD = "classifier"


def preprocess_spec(settings: TrainSettings) -> PreprocessSpec:
    """The preprocessing of a run: its own geometry, the normalization of its backbone."""
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
    """The dropout before the last layer: the settings', else the network's own."""
    own = backbone_spec(settings.model, settings.alpha).dropout
    return own if settings.dropout is None else settings.dropout


def is_pretrained(settings: TrainSettings) -> bool:
    """Whether the backbone starts with weights that somebody trained, and not from nothing."""
    return starting_weights(settings.weights, backbone_spec(settings.model, settings.alpha)) is not None


def attach_head(backbone: keras.Model, classes: int, dropout: float) -> keras.Model:
    """A model from normalized images to probabilities `[None, classes]` over a backbone's features."""
    return keras.Model(backbone.input, _head(classes, dropout)(backbone.output), name=backbone.name)


def head_model(features: int, classes: int, dropout: float) -> keras.Model:
    """The head alone, from `[None, features]` to `[None, classes]`; its weights fit `attach_head`'s."""
    inputs = keras.Input([features], name="features")
    return keras.Model(inputs, _head(classes, dropout)(inputs), name="head")


def load_float_model(folder: RunFolder, record: RunRecord) -> keras.Model:
    """The trained float model of a run."""
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
    """Freezes all but the head."""
    for layer in model.layers:
        layer.trainable = layer.name == HEAD


def unfreeze(model: keras.Model, unfreeze: int | str, name: str) -> None:
    """Lets the head and a part of the network `name` be trained: see `TrainSettings.unfreeze`. Raises `InputError`.

    Batch normalization stays frozen everywhere: Keras then runs it in inference mode, with the statistics of ImageNet,
    which a small data set and small batches would only spoil.
    """
    chosen = layers_to_unfreeze(model, unfreeze, name)
    for layer in model.layers:
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name == HEAD or (layer.name in chosen and not normalizes)


def layers_to_unfreeze(model: keras.Model, unfreeze: int | str, name: str) -> frozenset[str]:
    """The layers that `unfreeze` names: so many blocks from the output, those from a layer on, or all."""
    layers = [layer.name for layer in model.layers]
    if unfreeze == "all":
        return frozenset(layers)
    if isinstance(unfreeze, str):
        if unfreeze not in layers:
            raise UnknownName(f"layer of {name} in --unfreeze", unfreeze, ("all", *layers))
        return frozenset(layers[layers.index(unfreeze) :])
    known = blocks(model)
    if unfreeze > len(known):
        raise InputError(f"{name} has {len(known)} blocks, got --unfreeze {unfreeze}")
    last = known[len(known) - unfreeze :]
    return frozenset(layer for layer in layers if block_of(layer) in last)


def _head(classes: int, dropout: float):  # type: ignore[no-untyped-def]
    # Probabilities need more than float16, also where the rest of the network is computed in it.
    dense = keras.layers.Dense(classes, activation="softmax", dtype="float32", name=HEAD)
    drop = keras.layers.Dropout(dropout, name="dropout")
    return lambda features: dense(drop(features))
