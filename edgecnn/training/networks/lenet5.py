"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

It has 61,706 parameters at the published 32x32 with 10 classes: 156 in C1, 2,416 in C3, 48,120 in C5, 10,164 in F6 and
850 in the output. That is the network as it is taught and built today. The paper's network has about 60,000 parameters:
its C3 connects to only some of S2's maps (1,516), its subsampling has a factor and an offset per map (12 and 32), its
activation is 1.7159 tanh(2x / 3), and its output compares F6 with fixed bitmaps of the digits.
"""

from __future__ import annotations

from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec


def build_lenet5(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build LeNet-5 without its output layer.

    C5 sees the whole of S4, 5x5 at the published size, so its number of weights depends on the input size.

    Args:
        spec: Entry of the zoo.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 84 values of F6.
    """
    image = keras.Input((height, width, spec.channels), name="image")
    x = keras.layers.Conv2D(6, 5, activation="tanh", name="c1")(image)
    x = keras.layers.AveragePooling2D(2, name="s2")(x)
    x = keras.layers.Conv2D(16, 5, activation="tanh", name="c3")(x)
    x = keras.layers.AveragePooling2D(2, name="s4")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(120, activation="tanh", name="c5")(x)
    x = keras.layers.Dense(84, activation="tanh", name="f6")(x)
    return keras.Model(image, x, name=spec.name)
