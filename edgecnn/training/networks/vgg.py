"""VGG16 and VGG19 as Keras has them: Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, D and E.

With 1000 classes at 224x224 they have 138,357,544 and 143,667,240 parameters, the counts that Keras publishes (the
paper's table 2 says 138 and 144 million). Nearly nine tenths are in the two hidden layers of the ImageNet head; for
transfer the convolutions end in an average instead, and 14,714,688 and 20,024,384 are left.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec

_NETWORKS = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}


def keras_vgg(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Keras's own network over an input."""
    return _NETWORKS[spec.name](include_top, weights=None, input_tensor=image, input_shape=image.shape[1:])


def build_vgg(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Features are the 512 averages of the last convolutions."""
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_vgg(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)


def build_vgg_with_hidden_layers(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """The body under the ImageNet head: features are the 4096 values of the second hidden layer."""
    image = keras.Input((height, width, spec.channels), name="image")
    whole = keras_vgg(spec, image, include_top=True)
    return keras.Model(image, whole.get_layer("fc2").output, name=spec.name)
