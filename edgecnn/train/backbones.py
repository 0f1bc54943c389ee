"""Builds what the zoo lists, with its weights, and names the blocks that fine-tuning sets free."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.labels import LabelMap, labels_from_text
from edgecnn.train.efficientnet_lite import build_efficientnet_lite, imagenet_checkpoint, load_checkpoint
from edgecnn.train.keras import keras
from edgecnn.train.mobilenet_v2 import build_mobilenet_v2, imagenet_weights
from edgecnn.train.zoo import BackboneSpec

IMAGENET_CLASSES = 1000
MIN_SIZE = 32
"""The networks halve their input five times."""


def build_backbone(spec: BackboneSpec, *, height: int, width: int, weights: Path | str | None) -> keras.Model:
    """A network from normalised float32 `[None, height, width, 3]` to features `[None, spec.features]` (layer "pool").

    `weights` is "imagenet", None for random ones, or the `Path` of a file: `.pth` in the form of the packaged
    EfficientNet-Lite checkpoints, or `.h5` as Keras saves this very network's weights.
    Raises `InputError` for weights that cannot be found, `MissingDependency` for a package that would hold them, and
    `ModelFileError` for a file that is not of this network.
    """
    model = _features(spec, height, width)
    _load_weights(model, spec, weights, head=False)
    return model


def build_imagenet_classifier(
    spec: BackboneSpec, *, height: int | None = None, width: int | None = None, weights: Path | str | None
) -> keras.Model:
    """The backbone with the head it was pretrained with: probabilities `[None, 1000]` (layer "classifier").

    The input is the published size unless given; `weights` and errors are as in `build_backbone`, and a file has to
    hold the head as well.
    """
    features = _features(spec, height or spec.height, width or spec.width)
    head = keras.layers.Dense(IMAGENET_CLASSES, activation="softmax", name="classifier")
    model = keras.Model(features.input, head(features.output), name=features.name)
    _load_weights(model, spec, weights, head=True)
    return model


def blocks(model: keras.Model) -> tuple[str, ...]:
    """The blocks of a network from input to output: "stem", "block_0" and on, "top"."""
    return tuple(dict.fromkeys(block for layer in model.layers if (block := block_of(layer.name)) is not None))


def block_of(layer_name: str) -> str | None:
    """The block that a layer of a backbone is in, or None for its input, its pooling and its head."""
    if match := re.match(r"(?:stem|top)(?=_)|block_\d+(?=_)", layer_name):
        return match[0]
    return _mobilenet_v2_block(layer_name)


def imagenet_labels() -> LabelMap:
    """The 1000 classes of ILSVRC 2012 in the order of the output axis, under short names of WordNet."""
    return labels_from_text(resources.files("edgecnn.train").joinpath("imagenet_labels.txt").read_text("utf-8"))


def _mobilenet_v2_block(layer_name: str) -> str | None:
    """Keras's own layer names: the first block has no number, stem and top differ by an underscore."""
    if layer_name.startswith("expanded_conv_"):
        return "block_0"
    if layer_name in ("Conv1", "bn_Conv1", "Conv1_relu"):
        return "stem"
    if layer_name in ("Conv_1", "Conv_1_bn", "out_relu"):
        return "top"
    return None


def _features(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    if min(height, width) < MIN_SIZE:
        raise InputError(
            f"expected an input of at least {MIN_SIZE}x{MIN_SIZE} pixels for {spec.name}, got {height}x{width}"
        )
    if spec.alpha is None:
        return build_efficientnet_lite(spec.name, height, width)
    return build_mobilenet_v2(spec.alpha, height, width)


def _load_weights(model: keras.Model, spec: BackboneSpec, weights: Path | str | None, *, head: bool) -> None:
    if weights is None:
        return
    file = weights if isinstance(weights, Path) else _named_weights(model, spec, weights, head=head)
    if file.suffix == ".pth" and spec.alpha is None:
        load_checkpoint(model, file)
    elif file.suffix == ".h5":
        _load_h5(model, file)
    else:
        known = "a .pth or .h5 file" if spec.alpha is None else "an .h5 file"
        raise InputError(f"expected {known} with weights of {spec.name}, got {file}")


def _named_weights(model: keras.Model, spec: BackboneSpec, name: str, *, head: bool) -> Path:
    if name != "imagenet":
        raise InputError(f"expected weights 'imagenet', None or the Path of a file, got {name!r}")
    if spec.alpha is None:
        return imagenet_checkpoint(spec.name)
    _, height, width, _ = model.input_shape
    return imagenet_weights(spec.alpha, height, width, head=head)


def _load_h5(model: keras.Model, file: Path) -> None:
    if not file.exists():
        raise ModelFileError(f"no such weights file: {file}")
    try:
        model.load_weights(file)
    except (ValueError, KeyError, OSError) as error:
        # Keras names the first layer or tensor that differs, over several lines.
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelFileError(
            f"{file} does not fit {model.name}: {reason}; choose the model it was saved from"
        ) from None
