"""ResNet-50 from Keras: He et al., "Deep Residual Learning for Image Recognition", 2016.

With 1000 classes it has 25,636,712 parameters, the count that Keras publishes. 53,120 of them are batch normalization
statistics, which are not trainable. Keras's convolutions have biases, which the paper's do not need.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_resnet50(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Build Keras's own network.

    Args:
        spec: Entry of the zoo.
        image: Keras input tensor `[None, height, width, spec.channels]`.
        include_top: Also build the published 1000-class head.

    Returns:
        The network with random weights, under Keras's layer names.
    """
    return keras.applications.ResNet50(include_top, weights=None, input_tensor=image, input_shape=image.shape[1:])


def build_resnet50(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build ResNet-50 without its head.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 2048 channel averages of the last block.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_resnet50(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)
