"""Construction of the zoo's networks with their weights, and the blocks that fine-tuning can unfreeze."""

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
    """Build a network without its head.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.
        weights: "imagenet", the `Path` of a weights file, or None for random weights; see `load_pretrained`.

    Returns:
        A model from normalized float32 images `[None, height, width, spec.channels]` to features
        `[None, spec.features]`.

    Raises:
        InputError: The size is below `spec.min_size`, or the weights cannot be found.
        MissingDependency: The package with the weights is not installed.
        ModelFileError: The weights file is of another network.
    """
    _check_size(spec, height, width)
    model = _BODIES[spec.name](spec, height, width)
    load_pretrained(model, spec, weights, head=False)
    return model


def build_imagenet_classifier(
    spec: BackboneSpec, *, height: int | None = None, width: int | None = None, weights: Path | str | None
) -> keras.Model:
    """Build a network as it was published for ImageNet.

    Args:
        spec: Entry of the zoo that was published with 1000 classes.
        height: Input height in pixels; None means the published height.
        width: Input width in pixels; None means the published width.
        weights: As in `build_backbone`, but a file must contain the head as well.

    Returns:
        A model from normalized float32 images `[None, height, width, spec.channels]` to probabilities `[None, 1000]`
        (layer "classifier").

    Raises:
        InputError: The network was published for another task; otherwise as `build_backbone`.
        MissingDependency: As `build_backbone`.
        ModelFileError: As `build_backbone`.
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
    """Return the names of a network's blocks.

    Args:
        model: Network of the zoo, with or without a head.

    Returns:
        Names from input to output, such as "stem", "block_0", "block_1" ... "top".
    """
    return tuple(dict.fromkeys(block for layer in model.layers if (block := block_of(layer.name)) is not None))


def block_of(layer_name: str) -> str | None:
    """Return the block that a layer is part of.

    Args:
        layer_name: Name of a layer in a network of the zoo.

    Returns:
        The block's name, or None for the head and for layers without weights between blocks.
    """
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
    # Keras's MobileNetV2: the first block has no number; stem and top differ by an underscore.
    (r"expanded_conv_", "block_0"),
    (r"(?:Conv1|bn_Conv1|Conv1_relu)$", "stem"),
    (r"(?:Conv_1|Conv_1_bn|out_relu)$", "top"),
)


def imagenet_labels() -> LabelMap:
    """Return the 1000 classes of ILSVRC 2012.

    Returns:
        Short WordNet names, in the order of the output axis.
    """
    return labels_from_text(
        resources.files("edgecnn.training.networks").joinpath("imagenet_labels.txt").read_text("utf-8")
    )


def _check_size(spec: BackboneSpec, height: int, width: int) -> None:
    minimum = spec.min_size
    if min(height, width) < minimum:
        raise InputError(
            f"expected an input of at least {minimum}x{minimum} pixels for {spec.name}, got {height}x{width}"
        )
