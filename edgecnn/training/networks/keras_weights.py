"""The ImageNet weights that Keras publishes: where they are, and how they come to take this project's input.

int8 needs one whole mean and one std for all channels (`quantization.input_quantization`), so weights that saw the
channels in another order, or each with a mean and std of its own, are rewritten as they are loaded. For a channel c of
the first convolution, published for p = (byte - m_c) / s_c and given z = (byte - mean) / std,

    p = z * std / s_c + (mean - m_c) / s_c

so its kernel is scaled by std / s_c, and the sum of the kernel times (mean - m_c) / s_c is added to the bias, or taken
from the mean of the batch normalization behind it. That is exact wherever the kernel sees the picture. In the padding
around it the network saw zeros, the color m_c, and sees the gray `mean` now: at most 12 gray levels off, in the
outermost places of the first map.
"""

from __future__ import annotations

import http.client
import os
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from edgecnn.core.atomic import write_bytes
from edgecnn.core.errors import InputError
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.efficientnet_b0 import keras_efficientnet_b0
from edgecnn.training.networks.mobilenet_v1 import keras_mobilenet_v1
from edgecnn.training.networks.mobilenet_v2 import keras_mobilenet_v2
from edgecnn.training.networks.resnet50 import keras_resnet50
from edgecnn.training.networks.vgg import keras_vgg

_BASE_URL = "https://storage.googleapis.com/"
_TIMEOUT_S = 10.0
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class InputOf(NamedTuple):
    """What published weights take: `(byte - mean) / std` by channel, in red, green, blue."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    reversed: bool
    """Whether blue comes first."""


CAFFE = InputOf((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), reversed=True)
"""`keras.applications.imagenet_utils.preprocess_input(mode="caffe")`."""
TORCH = InputOf((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), reversed=False)
"""`preprocess_input(mode="torch")`: 255 times (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225)."""


class Published(NamedTuple):
    """Weights that Keras publishes of a network."""

    network: Callable[..., keras.Model]
    """Builds it as Keras has it: what the files fit."""
    folder: str
    """Of the files, behind `_BASE_URL`."""
    file: str
    """Name of a file without `.h5`, by `{alpha}` and `{size}`."""
    no_head: str
    """What is added to that where the head is not in the file."""
    sizes: tuple[int, ...] = ()
    """The input sizes that have files of their own."""
    alphas: Mapping[float, str] = MappingProxyType({})
    """How names of files write an alpha, where it is not the number."""
    input: InputOf | None = None
    """None where it is this project's for the network, see the zoo."""


_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_APPLICATIONS = "tensorflow/keras-applications"
PUBLISHED = {
    "vgg16": Published(keras_vgg, f"{_APPLICATIONS}/vgg16/", f"vgg16_{_KERNELS}", "_notop", input=CAFFE),
    "vgg19": Published(keras_vgg, f"{_APPLICATIONS}/vgg19/", f"vgg19_{_KERNELS}", "_notop", input=CAFFE),
    "resnet50": Published(keras_resnet50, f"{_APPLICATIONS}/resnet/", f"resnet50_{_KERNELS}", "_notop", input=CAFFE),
    "mobilenet_v1": Published(
        keras_mobilenet_v1,
        f"{_APPLICATIONS}/mobilenet/",
        "mobilenet_{alpha}_{size}_tf",
        "_no_top",
        sizes=(128, 160, 192, 224),
        alphas={0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"},
    ),
    "mobilenet_v2": Published(
        keras_mobilenet_v2,
        f"{_APPLICATIONS}/mobilenet_v2/",
        f"mobilenet_v2_{_KERNELS}_{{alpha}}_{{size}}",
        "_no_top",
        sizes=(96, 128, 160, 192, 224),
    ),
    "efficientnet_b0": Published(keras_efficientnet_b0, "keras-applications/", "efficientnetb0", "_notop", input=TORCH),
}


# ---- the files


def imagenet_weights(spec: BackboneSpec, height: int, width: int, *, head: bool) -> Path:
    """The ImageNet weights in the Keras folder (`$KERAS_HOME/models`, else `~/.keras/models`), downloaded if need be.

    `head` asks for the file that has the 1000-class head too. Where files differ by input size it is the one of the
    smallest size that is not below the longer side, else of the largest. (Keras itself takes 224 for a size that has no
    file.) Raises `InputError` where the file is not there and cannot be fetched, with the place to put it.
    """
    published = PUBLISHED[spec.name]
    size = next((each for each in published.sizes if each >= max(height, width)), max(published.sizes, default=0))
    alpha = published.alphas.get(spec.alpha or 1.0, spec.alpha)
    name = f"{published.file.format(alpha=alpha, size=size)}{'' if head else published.no_head}.h5"
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "models"
    file = folder / name
    if not file.exists():
        write_bytes(file, _download(f"{_BASE_URL}{published.folder}{name}", folder))
    return file


def _download(url: str, folder: Path) -> bytes:
    name = url.rpartition("/")[2]
    advice = f"fetch {url} on a machine with a network and put it into {folder}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - https, above
            content: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"the ImageNet weights {name} are not in {folder} and the download failed ({error}); {advice}"
        ) from None
    # A network that asks for a login answers everything with a page of its own.
    if not content.startswith(_HDF5_SIGNATURE):
        raise InputError(f"the download of {name} gave {len(content)} bytes that are not an HDF5 file; {advice}")
    return content


# ---- from Keras's network to this project's


def load_published(model: keras.Model, spec: BackboneSpec, file: Path, *, head: bool) -> None:
    """Fills `model`, with or without its "classifier", from a file that fits Keras's own network.

    Raises what Keras does for a file that does not fit: `ValueError`, `KeyError` or `OSError`.
    """
    published = PUBLISHED[spec.name]
    image = keras.Input(model.input_shape[1:])
    source = published.network(spec, image, include_top=head)
    source.load_weights(file)
    filled = {layer.name: layer for layer in source.layers if layer.weights}
    if head:
        # Keras's heads have several names; the last is what all of them are.
        filled["classifier"] = list(filled.values())[-1]
    for layer in (each for each in model.layers if each.weights):
        values = zip(layer.weights, filled[layer.name].get_weights(), strict=True)
        # MobileNet's head is a convolution of 1x1 in Keras: the same numbers in another shape.
        layer.set_weights([value.reshape(weight.shape) for weight, value in values])
    if published.input is not None:
        take_input(model, published.input, spec)


def take_input(model: keras.Model, published: InputOf, spec: BackboneSpec) -> None:
    """Rewrites the first convolution, whose weights were `published` for another input, for that of `spec`."""
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    kernel, *bias = first.get_weights()
    if published.reversed:
        kernel = kernel[:, :, ::-1]
    published_mean, published_std = np.array(published.mean), np.array(published.std)
    shift = (kernel * ((np.array(spec.mean) - published_mean) / published_std)[:, None]).sum(axis=(0, 1, 2))
    kernel = kernel * (np.array(spec.std) / published_std)[:, None]
    if bias:
        first.set_weights([kernel, bias[0] + shift])
    else:
        first.set_weights([kernel])
        norm = first.outbound_nodes[0].layer
        norm.moving_mean.assign(norm.moving_mean - shift)
