"""Folding of batch normalization and activations into the preceding layers, as every int8 runtime does.

After folding, a layer's kernel is the one in the exported file. Calibration and fake quantization in training therefore
see the weights that the device computes with (Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", section 3.2). With frozen statistics the folding is exact. ReLU and ReLU6
are fused into integer kernels. Every other activation is a separate operator on the device, and a separate layer after
folding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.training.keras import keras, tf

Layer = Any
Weights = list[NDArray[np.float32]]
_WITH_KERNEL = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
_FUSED = (keras.activations.linear, keras.activations.relu)
"""Activations that stay part of a layer with a kernel."""


def fold_model(model: keras.Model) -> keras.Model:
    """Build an equivalent model with batch normalization and ReLU folded into the layers with kernels.

    All other activations become separate layers.

    Args:
        model: Functional model without nested models; it is not changed.

    Returns:
        A new model. Folded layers keep the names of the layers with kernels.
    """
    tensors: dict[str, Any] = {}
    absorbed: set[str] = set()
    weights: dict[str, Weights] = {}
    # Clone the model, so that the only consumers of a layer are its own: Keras graphs can share layers.
    source = keras.models.clone_model(model)
    source.set_weights(model.get_weights())
    for layer in source.layers:
        if layer.name in absorbed:
            continue
        if isinstance(layer, keras.layers.InputLayer):
            tensors[layer.output.name] = keras.Input(layer.output.shape[1:], name=layer.name)
            continue
        inputs = tf.nest.map_structure(lambda tensor: tensors[tensor.name], layer.input)
        if isinstance(layer, keras.layers.Activation):
            tensors[layer.output.name] = _activate(inputs, layer.activation, layer.name)
            continue
        chain = _chain(layer)
        absorbed.update(link.name for link in chain)
        folded, weights[layer.name] = _fold_chain(chain)
        output = folded(inputs)
        if isinstance(layer, _WITH_KERNEL) and layer.activation not in _FUSED:
            output = _activate(output, layer.activation, layer.name)
        tensors[chain[-1].output.name] = output
    result = keras.Model(
        [tensors[i.name] for i in source.inputs], [tensors[o.name] for o in source.outputs], name=model.name
    )
    for name, values in weights.items():
        result.get_layer(name).set_weights(values)
    return result


def _chain(layer: Layer) -> list[Layer]:
    """Return `layer` followed by the layers that fold into it: batch normalization, then ReLU."""
    chain = [layer]
    if isinstance(layer, _WITH_KERNEL) and layer.activation is keras.activations.linear:
        if isinstance(_only_consumer(chain[-1]), keras.layers.BatchNormalization):
            chain.append(_only_consumer(chain[-1]))
        if _relu(_only_consumer(chain[-1])) is not None:
            chain.append(_only_consumer(chain[-1]))
    return chain


def _activate(inputs: Any, activation: Any, name: str) -> Any:
    """Apply an activation, as layers that the device has kernels for."""
    if activation is keras.activations.relu:
        return keras.layers.ReLU(name=f"{name}_relu")(inputs)
    if activation is keras.activations.softmax:
        return keras.layers.Softmax(name=f"{name}_softmax")(inputs)
    if activation is keras.activations.swish:
        gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(inputs)
        return keras.layers.Multiply(name=f"{name}_swish")([inputs, gate])
    kind = keras.activations.serialize(activation)
    return keras.layers.Activation(activation, name=f"{name}_{kind}")(inputs)


def _only_consumer(layer: Layer) -> Layer | None:
    nodes = layer.outbound_nodes
    return nodes[0].layer if len(nodes) == 1 else None


def _relu(layer: Layer | None) -> str | None:
    """Return "relu" or "relu6" if int8 kernels can fuse the layer, or else None."""
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu:
        return "relu"
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        if layer.max_value is None:
            return "relu"
        return "relu6" if float(layer.max_value) == 6.0 else None
    return None


def _fold_chain(chain: list[Layer]) -> tuple[Layer, Weights]:
    layer, *rest = chain
    config = layer.get_config()
    values: Weights = layer.get_weights()
    for link in rest:
        if isinstance(link, keras.layers.BatchNormalization):
            values = _fold_batch_norm(layer, link)
            config["use_bias"] = True
        else:
            config["activation"] = tf.nn.relu6 if _relu(link) == "relu6" else "relu"
    if isinstance(layer, _WITH_KERNEL) and layer.activation not in _FUSED:
        config["activation"] = "linear"
    return layer.__class__.from_config(config), values


def _fold_batch_norm(layer: Layer, norm: Layer) -> Weights:
    """Return kernel and bias of `norm(layer(x))`: y = gamma * (Wx + b - mean) / sqrt(variance + epsilon) + beta."""
    kernel = layer.get_weights()[0]
    bias = layer.get_weights()[1] if layer.use_bias else 0.0
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    gamma = norm.gamma.numpy() if norm.scale else np.ones_like(mean)
    beta = norm.beta.numpy() if norm.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    # A depthwise kernel is (h, w, channel, multiplier): the last two axes together are its output channels.
    per_output = scale.reshape(kernel.shape[2:]) if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    return [kernel * per_output, beta + (bias - mean) * scale]
