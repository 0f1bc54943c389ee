"""The small convolutional network of MNIST tutorials: two convolutions with pooling, and one hidden layer.

It has 121,930 parameters at 28x28x1 with 10 classes: 320 and 18,496 in the convolutions, 102,464 in the hidden layer
and 650 in the output. No paper describes it; the count follows from the layers.
"""

from __future__ import annotations

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def build_mnist_cnn(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build the network without its output layer.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 64 values of the hidden layer.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras.layers.Conv2D(32, 3, activation="relu", name="conv1")(image)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)
    x = keras.layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(64, activation="relu", name="dense")(x)
    return keras.Model(image, x, name=spec.name)
