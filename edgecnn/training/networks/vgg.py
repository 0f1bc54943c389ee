"""VGG16 and VGG19 from Keras: Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, configurations D and E.

With 1000 classes at 224x224 they have 138,357,544 and 143,667,240 parameters, the counts that Keras publishes (the
paper's table 2 says 138 and 144 million). Nearly nine tenths are in the two hidden layers of the ImageNet head. For
transfer learning the convolutions end in an average instead, which leaves 14,714,688 and 20,024,384 parameters.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec

_NETWORKS = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}


def keras_vgg(spec: BackboneSpec, image: Any, *, include_top: bool) -> keras.Model:
    """Build Keras's own network.

    Args:
        spec: Entry of the zoo, of VGG16 or VGG19.
        image: Keras input tensor `[None, height, width, spec.channels]`.
        include_top: Also build the published 1000-class head.

    Returns:
        The network with random weights, under Keras's layer names.
    """
    return _NETWORKS[spec.name](include_top, weights=None, input_tensor=image, input_shape=image.shape[1:])


def build_vgg(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build VGG without the hidden layers of its ImageNet head.

    Args:
        spec: Entry of the zoo, of VGG16 or VGG19.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 512 channel averages of the last convolution.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras_vgg(spec, image, include_top=False).output
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)


def build_vgg_with_hidden_layers(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build VGG with the two hidden layers, which the published ImageNet head needs.

    Args:
        spec: Entry of the zoo, of VGG16 or VGG19.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 4096 values of the second hidden layer.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    network = keras_vgg(spec, image, include_top=True)
    return keras.Model(image, network.get_layer("fc2").output, name=spec.name)
