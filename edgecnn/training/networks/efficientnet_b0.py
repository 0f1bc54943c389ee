"""EfficientNet-B0 as Keras has it: Tan and Le, "EfficientNet", 2019, with squeeze-and-excitation and swish.

With 1000 classes Keras publishes 5,330,571 parameters, of which training moves 5,288,548 (the paper: 5.3 million).
42,016 are statistics of batch normalization, and 7 belong to the normalization of the input: Keras has that in the
graph, here it is the preprocessing's, so 5,330,564 are left.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def keras_efficientnet_b0(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Keras's own network over an input, which takes bytes."""
    return keras.applications.EfficientNetB0(include_top, weights=None, input_tensor=image, input_shape=image.shape[1:])


def build_efficientnet_b0(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Features are the 1280 averages of the last convolution."""
    image = keras.Input((height, width, spec.channels), name="image")
    whole = keras_efficientnet_b0(spec, image, include_top=False)
    (normalized,) = (layer.output for layer in whole.layers if isinstance(layer, keras.layers.Normalization))
    # A clone has layers of its own: those of `whole` would go on to know the input they had there.
    body = keras.models.clone_model(keras.Model(normalized, whole.output), input_tensors=image)
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(body.output), name=spec.name)
