"""The classifier that a run trains: a backbone, dropout and one dense layer, as one flat graph."""

from __future__ import annotations

from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.run_folder import RunFolder, RunRecord
from edgecnn.core.settings import TrainSettings
from edgecnn.train.backbones import block_of, blocks, build_backbone
from edgecnn.train.keras import keras
from edgecnn.train.zoo import backbone_spec

HEAD = "classifier"


def preprocess_spec(settings: TrainSettings) -> PreprocessSpec:
    """The preprocessing of a run: its own geometry, the normalisation of its backbone."""
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


def attach_head(backbone: keras.Model, classes: int, dropout: float) -> keras.Model:
    """A model from normalised images to probabilities `[None, classes]` over a backbone's features."""
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
    model = attach_head(backbone, len(record.labels), settings.dropout)
    model.load_weights(folder.float_weights)
    freeze(model, settings.unfreeze if settings.fine_tune_epochs else 0)
    return model


def freeze(model: keras.Model, unfrozen_blocks: int) -> None:
    """Freezes all but the head and the last `unfrozen_blocks` blocks.

    Batch normalisation stays frozen everywhere: Keras then runs it in inference mode, with the statistics of ImageNet,
    which a small data set and small batches would only spoil.
    """
    names = blocks(model)
    free = set(names[len(names) - unfrozen_blocks :]) if unfrozen_blocks else set()
    for layer in model.layers:
        block = block_of(layer.name)
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name == HEAD or (block in free and not normalizes)


def _head(classes: int, dropout: float):  # type: ignore[no-untyped-def]
    dense = keras.layers.Dense(classes, activation="softmax", name=HEAD)
    drop = keras.layers.Dropout(dropout, name="dropout")
    return lambda features: dense(drop(features))
