"""MobileNetV2 from Keras: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.

With alpha 1 and 1000 classes it has 3,538,984 parameters, the count that Keras publishes. 3,504,872 of them are
trainable (the paper: 3.4 million); the others are batch normalization statistics.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_mobilenet_v2(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Build Keras's own network.

    Args:
        spec: Entry of the zoo with a width multiplier `alpha`.
        image: Keras input tensor `[None, height, width, spec.channels]`.
        include_top: Also build the published 1000-class head.

    Returns:
        The network with random weights, under Keras's layer names.
    """
    return keras.applications.MobileNetV2(
        image.shape[1:], alpha=spec.alpha, include_top=include_top, weights=None, input_tensor=image
    )


def build_mobilenet_v2(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build MobileNetV2 without its head.

    Args:
        spec: Entry of the zoo with a width multiplier `alpha`.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the channel averages of the last convolution: 1280, and more above
        alpha 1.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_mobilenet_v2(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)
