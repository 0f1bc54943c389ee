"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2015 (Inception, version 1).

It has 6,998,552 parameters with 1000 classes, biases included: the count of Caffe's `bvlc_googlenet` without its two
auxiliary classifiers. Caffe's network has those in training only; this one does not have them at all. (The paper's
table rounds each layer to thousands.) Local response normalization is left out because TFLite has no integer kernel for
it. The weights are initialized as He et al. ("Delving Deep into Rectifiers", 2015) derived for ReLU; without that, 22
layers hardly begin to learn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


class Inception(NamedTuple):
    """Number of filters in each branch of a module: the columns of the paper's table 1, in order."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


MODULES = {
    "3a": Inception(64, 96, 128, 16, 32, 32),
    "3b": Inception(128, 128, 192, 32, 96, 64),
    "4a": Inception(192, 96, 208, 16, 48, 64),
    "4b": Inception(160, 112, 224, 24, 64, 64),
    "4c": Inception(128, 128, 256, 24, 64, 64),
    "4d": Inception(112, 144, 288, 32, 64, 64),
    "4e": Inception(256, 160, 320, 32, 128, 128),
    "5a": Inception(256, 160, 320, 32, 128, 128),
    "5b": Inception(384, 192, 384, 48, 128, 128),
}
_POOLED = ("3b", "4e")
"""Modules that are followed by a pooling layer, which halves the feature map."""


def build_googlenet(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build GoogLeNet without its head.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 1024 channel averages of the last module.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = _conv(image, "conv1_7x7", 64, kernel=7, stride=2)
    x = _halved(x, "pool1")
    x = _conv(x, "conv2_reduce", 64, kernel=1)
    x = _conv(x, "conv2_3x3", 192, kernel=3)
    x = _halved(x, "pool2")
    for number, module in MODULES.items():
        x = _inception(x, f"inception_{number}", module)
        if number in _POOLED:
            x = _halved(x, f"pool{number[0]}")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)


def _inception(x: Any, name: str, module: Inception) -> Any:
    pooled = keras.layers.MaxPooling2D(3, 1, "same", name=f"{name}_pool")(x)
    branches = [
        _conv(x, f"{name}_1x1", module.one, kernel=1),
        _conv(_conv(x, f"{name}_3x3_reduce", module.three_reduce, kernel=1), f"{name}_3x3", module.three, kernel=3),
        _conv(_conv(x, f"{name}_5x5_reduce", module.five_reduce, kernel=1), f"{name}_5x5", module.five, kernel=5),
        _conv(pooled, f"{name}_pool_proj", module.pool, kernel=1),
    ]
    return keras.layers.Concatenate(name=f"{name}_output")(branches)


def _halved(x: Any, name: str) -> Any:
    return keras.layers.MaxPooling2D(3, 2, "same", name=name)(x)


def _conv(x: Any, name: str, filters: int, kernel: int, stride: int = 1) -> Any:
    layer = keras.layers.Conv2D(
        filters, kernel, stride, "same", activation="relu", kernel_initializer="he_normal", name=name
    )
    return layer(x)
