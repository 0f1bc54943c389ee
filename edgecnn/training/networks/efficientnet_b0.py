"""EfficientNet-B0 from Keras: Tan and Le, "EfficientNet", 2019, with squeeze-and-excitation and swish.

With 1000 classes Keras publishes 5,330,571 parameters, of which 5,288,548 are trainable (the paper: 5.3 million).
42,016 are batch normalization statistics. The other 7 belong to the input normalization, which Keras has in the graph.
Here it is part of the preprocessing, so 5,330,564 parameters are left.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_efficientnet_b0(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Build Keras's own network, which normalizes its input itself.

    Args:
        spec: Entry of the zoo.
        image: Keras input tensor `[None, height, width, spec.channels]` with values from 0 to 255.
        include_top: Also build the published 1000-class head.

    Returns:
        The network with random weights, under Keras's layer names.
    """
    return keras.applications.EfficientNetB0(include_top, weights=None, input_tensor=image, input_shape=image.shape[1:])


def build_efficientnet_b0(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build EfficientNet-B0 without its head and without Keras's input normalization.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 1280 channel averages of the last convolution.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    network = keras_efficientnet_b0(spec, image, include_top=False)
    (normalized,) = (layer.output for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    # Clone the layers: those of `network` would stay connected to the input they have there.
    body = keras.models.clone_model(keras.Model(normalized, network.output), input_tensors=image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(body.output), name=spec.name)
