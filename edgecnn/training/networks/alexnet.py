"""AlexNet in one tower: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

It has 61,100,840 parameters with 1000 classes at 224x224, the count that torchvision publishes for its `alexnet`. The
layers are the same except for dropout, which follows both hidden layers here, as in the 2012 paper (Krizhevsky,
Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks"). The second dropout is the
head's.

The 2012 network has two towers, one for each of its two GPUs (60,965,224 parameters). TensorFlow has no CPU gradient
for grouped convolutions like those. Local response normalization is left out, as in torchvision's network: TFLite has
no integer kernel for it, and Simonyan and Zisserman ("Very Deep Convolutional Networks", 2015) found no benefit in it.
"""

from __future__ import annotations

from typing import Any

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def build_alexnet(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build AlexNet without its head.

    fc6 sees the whole last feature map, 6x6 at the published size, so its number of weights depends on the input size.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 4096 values of fc7.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras.layers.ZeroPadding2D(2, name="conv1_pad")(image)
    x = _conv(x, "conv1", 64, kernel=11, stride=4, padding="valid")
    x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = _conv(x, "conv2", 192, kernel=5)
    x = keras.layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = _conv(x, "conv3", 384, kernel=3)
    x = _conv(x, "conv4", 256, kernel=3)
    x = _conv(x, "conv5", 256, kernel=3)
    x = keras.layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = _dense(x, "fc6")
    x = keras.layers.Dropout(0.5, name="dropout6")(x)
    return keras.Model(image, _dense(x, "fc7"), name=spec.name)


def _conv(x: Any, name: str, filters: int, *, kernel: int, stride: int = 1, padding: str = "same") -> Any:
    layer = keras.layers.Conv2D(
        filters, kernel, stride, padding, activation="relu", kernel_initializer="he_normal", name=name
    )
    return layer(x)


def _dense(x: Any, name: str) -> Any:
    return keras.layers.Dense(4096, activation="relu", kernel_initializer="he_normal", name=name)(x)
