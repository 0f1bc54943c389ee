"""Builds what the zoo lists, with its weights, and names the blocks that fine-tuning sets free."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from edgecnn.core.errors import InputError
from edgecnn.core.labels import LabelMap, labels_from_text
from edgecnn.training.keras import keras
from edgecnn.training.networks.alexnet import build_alexnet
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.efficientnet_b0 import build_efficientnet_b0
from edgecnn.training.networks.efficientnet_lite import build_efficientnet_lite
from edgecnn.training.networks.googlenet import build_googlenet
from edgecnn.training.networks.lenet5 import build_lenet5
from edgecnn.training.networks.mnist_cnn import build_mnist_cnn
from edgecnn.training.networks.mobilenet_v1 import build_mobilenet_v1
from edgecnn.training.networks.mobilenet_v2 import build_mobilenet_v2
from edgecnn.training.networks.pretrained import load_pretrained
from edgecnn.training.networks.resnet50 import build_resnet50
from edgecnn.training.networks.vgg import build_vgg, build_vgg_with_hidden_layers

IMAGENET_CLASSES = 1000

_Build = Callable[[BackboneSpec, int, int], keras.Model]
_BODIES: dict[str, _Build] = {
    "lenet5": build_lenet5,
    "mnist_cnn": build_mnist_cnn,
    "alexnet": build_alexnet,
    "vgg16": build_vgg,
    "vgg19": build_vgg,
    "googlenet": build_googlenet,
    "resnet50": build_resnet50,
    "mobilenet_v1": build_mobilenet_v1,
    "mobilenet_v2": build_mobilenet_v2,
    "efficientnet_b0": build_efficientnet_b0,
    **{f"efficientnet_lite{number}": build_efficientnet_lite for number in range(5)},
}
_IMAGENET_BODIES = _BODIES | {"vgg16": build_vgg_with_hidden_layers, "vgg19": build_vgg_with_hidden_layers}


def build_backbone(spec: BackboneSpec, *, height: int, width: int, weights: Path | str | None) -> keras.Model:
    """A network from normalized float32 `[None, height, width, spec.channels]` to features `[None, spec.features]`.

    `weights` is "imagenet", None for random ones, or the `Path` of a file: see `load_pretrained`, also for what it
    raises. Raises `InputError` for a size below `spec.min_size`.
    """
    _check_size(spec, height, width)
    model = _BODIES[spec.name](spec, height, width)
    load_pretrained(model, spec, weights, head=False)
    return model


def build_imagenet_classifier(
    spec: BackboneSpec, *, height: int | None = None, width: int | None = None, weights: Path | str | None
) -> keras.Model:
    """The network as published for ImageNet: probabilities `[None, 1000]` (layer "classifier").

    The input is the published size unless given; `weights` and errors are as in `build_backbone`, and a file has to
    hold the head as well. Raises `InputError` for a network that was published for something else.
    """
    if spec.classes != IMAGENET_CLASSES:
        raise InputError(f"{spec.name} was published for {spec.classes} classes, not for ImageNet; train it instead")
    height, width = height or spec.height, width or spec.width
    _check_size(spec, height, width)
    features = _IMAGENET_BODIES[spec.name](spec, height, width)
    x = keras.layers.Dropout(spec.dropout, name="dropout")(features.output)
    head = keras.layers.Dense(IMAGENET_CLASSES, activation="softmax", name="classifier")
    model = keras.Model(features.input, head(x), name=features.name)
    load_pretrained(model, spec, weights, head=True)
    return model


def blocks(model: keras.Model) -> tuple[str, ...]:
    """The blocks of a network from input to output, such as "stem", "block_0" and on, "top"."""
    return tuple(dict.fromkeys(block for layer in model.layers if (block := block_of(layer.name)) is not None))


def block_of(layer_name: str) -> str | None:
    """The block that a layer is in; None for the head, and for layers without weights that stand between blocks."""
    for pattern, block in _BLOCKS:
        if match := re.match(pattern, layer_name):
            return match.expand(block)
    return None


_BLOCKS = (
    (r"(stem|top)_", r"\1"),  # EfficientNets
    (r"(block_\d+)_", r"\1"),  # EfficientNet-Lite, MobileNetV2
    (r"(block\d+[a-z]?)_", r"\1"),  # VGG; EfficientNet-B0
    (r"(conv\d_block\d+)_", r"\1"),  # ResNet
    (r"(inception_\d[a-e])_", r"\1"),  # GoogLeNet
    (r"conv_(?:dw|pw|pad)_(\d+)", r"block_\1"),  # MobileNet
    (r"(conv\d)(?:_|$)", r"\1"),  # AlexNet, GoogLeNet, ResNet, MobileNet, mnist_cnn
    (r"(fc\d|dense|c[135]|f6)$", r"\1"),  # AlexNet, VGG; mnist_cnn; LeNet-5
    # MobileNetV2 in Keras: the first block has no number, stem and top differ by an underscore.
    (r"expanded_conv_", "block_0"),
    (r"(?:Conv1|bn_Conv1|Conv1_relu)$", "stem"),
    (r"(?:Conv_1|Conv_1_bn|out_relu)$", "top"),
)


def imagenet_labels() -> LabelMap:
    """The 1000 classes of ILSVRC 2012 in the order of the output axis, under short names of WordNet."""
    return labels_from_text(
        resources.files("edgecnn.training.networks").joinpath("imagenet_labels.txt").read_text("utf-8")
    )


def _check_size(spec: BackboneSpec, height: int, width: int) -> None:
    minimum = spec.min_size
    if min(height, width) < minimum:
        raise InputError(
            f"expected an input of at least {minimum}x{minimum} pixels for {spec.name}, got {height}x{width}"
        )
