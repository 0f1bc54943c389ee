"""MobileNet as Keras has it: Howard et al., "MobileNets", 2017.

At alpha 1 and with 1000 classes it has 4,253,864 parameters, the count that Keras publishes (the paper: 4.2 million);
21,888 of them are statistics of batch normalization, which training does not move.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_mobilenet_v1(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Keras's own network over an input."""
    return keras.applications.MobileNet(
        image.shape[1:], alpha=spec.alpha, include_top=include_top, weights=None, input_tensor=image
    )


def build_mobilenet_v1(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Features are the averages of the last block, 1024 times alpha."""
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_mobilenet_v1(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)
