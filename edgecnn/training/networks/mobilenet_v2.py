"""MobileNetV2 as Keras has it: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.

At alpha 1 and with 1000 classes it has 3,538,984 parameters, the count that Keras publishes, of which training moves
3,504,872 (the paper: 3.4 million); the others are statistics of batch normalization.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_mobilenet_v2(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Keras's own network over an input."""
    return keras.applications.MobileNetV2(
        image.shape[1:], alpha=spec.alpha, include_top=include_top, weights=None, input_tensor=image
    )


def build_mobilenet_v2(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Features are the averages of the last convolution, 1280 or, above alpha 1, more."""
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_mobilenet_v2(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)
