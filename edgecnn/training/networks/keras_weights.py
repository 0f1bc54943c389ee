"""The ImageNet weights that Keras publishes: how to download them and how to adapt them to edgecnn's input.

int8 needs one integer mean and one std for all channels (`input_quantization`). Weights that were published for another
channel order, or for a mean and std per channel, are therefore rewritten while they are loaded. For an input channel c
of the first convolution, which was published for p = (byte - m_c) / s_c and now gets z = (byte - mean) / std,

    p = z * std / s_c + (mean - m_c) / s_c

Therefore the channel's kernel is multiplied by std / s_c. The sum of the original kernel times (mean - m_c) / s_c is
added to the bias, or subtracted from the mean of the batch normalization that follows. This is exact wherever the
kernel is inside the picture. The padding around the picture is zeros: the published network saw them as the color m_c,
this one sees them as the gray `mean`. The difference is at most 12 gray levels, at the border of the first feature map.
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


class PublishedInput(NamedTuple):
    """The input that published weights expect: `(byte - mean) / std` per channel."""

    mean: tuple[float, float, float]
    """In gray levels, for red, green and blue."""
    std: tuple[float, float, float]
    """In gray levels, for red, green and blue."""
    reversed: bool
    """True if the channels are in the order blue, green, red."""


CAFFE = PublishedInput((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), reversed=True)
"""`keras.applications.imagenet_utils.preprocess_input(mode="caffe")`."""
TORCH = PublishedInput((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), reversed=False)
"""`preprocess_input(mode="torch")`: 255 times the mean (0.485, 0.456, 0.406) and the std (0.229, 0.224, 0.225)."""


class Published(NamedTuple):
    """The weights that Keras publishes for a network."""

    network: Callable[..., keras.Model]
    """Builds Keras's own network, which the files fit."""
    folder: str
    """Folder of the files, relative to `_BASE_URL`."""
    file: str
    """File name without `.h5`; may contain `{alpha}` and `{size}`."""
    no_head: str
    """Suffix of the name if the file does not contain the head."""
    sizes: tuple[int, ...] = ()
    """Input sizes in pixels, if there is a file for each of several sizes."""
    alphas: Mapping[float, str] = MappingProxyType({})
    """Spelling of each alpha in file names, if it is not the number itself."""
    input: PublishedInput | None = None
    """None if it is the same as edgecnn's (see `zoo`)."""


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
    """Return the file with the published ImageNet weights, after downloading it if necessary.

    The file is in the Keras folder: `$KERAS_HOME/models`, or `~/.keras/models` if that variable is not set. If there is
    a file for each of several input sizes, the smallest size that is at least the longer side is chosen, or else the
    largest. (Keras itself takes 224 for a size without a file.)

    Args:
        spec: Entry of the zoo that `PUBLISHED` contains.
        height: Input height in pixels.
        width: Input width in pixels.
        head: True for the file that also contains the 1000-class head.

    Returns:
        Path of an `.h5` file.

    Raises:
        InputError: The file is missing and cannot be downloaded. The message says where to put it.
    """
    published = PUBLISHED[spec.name]
    size = next((size for size in published.sizes if size >= max(height, width)), max(published.sizes, default=0))
    alpha = published.alphas.get(spec.alpha or 1.0, spec.alpha)
    name = f"{published.file.format(alpha=alpha, size=size)}{'' if head else published.no_head}.h5"
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "models"
    file = folder / name
    if not file.exists():
        write_bytes(file, _download(f"{_BASE_URL}{published.folder}{name}", folder))
    return file


def _download(url: str, folder: Path) -> bytes:
    name = url.rpartition("/")[2]
    advice = f"download {url} on a machine with internet access and put it into {folder}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the scheme is https, see `_BASE_URL`
            content: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"the ImageNet weights {name} are not in {folder} and the download failed ({error}); {advice}"
        ) from None
    # A network with a login page answers every request with that page.
    if not content.startswith(_HDF5_SIGNATURE):
        raise InputError(f"the download of {name} returned {len(content)} bytes that are not an HDF5 file; {advice}")
    return content


# ---- from Keras's network to edgecnn's


def load_published(model: keras.Model, spec: BackboneSpec, file: Path, *, head: bool) -> None:
    """Load a file that fits Keras's own network, and adapt the weights to edgecnn's input.

    Args:
        model: Network of `spec`, with or without its "classifier".
        spec: Entry of the zoo that `PUBLISHED` contains.
        file: `.h5` file that Keras publishes.
        head: True if `model` and `file` contain the 1000-class head.

    Raises:
        ValueError: The file does not fit (from Keras).
        KeyError: The file does not fit (from Keras).
        OSError: The file cannot be read as HDF5 (from h5py).
    """
    published = PUBLISHED[spec.name]
    image = keras.Input(model.input_shape[1:])
    source = published.network(spec, image, include_top=head)
    source.load_weights(file)
    loaded = {layer.name: layer for layer in source.layers if layer.weights}
    if head:
        # The name of the head differs between Keras's networks, but it is always the last layer with weights.
        loaded["classifier"] = list(loaded.values())[-1]
    for layer in (layer for layer in model.layers if layer.weights):
        values = zip(layer.weights, loaded[layer.name].get_weights(), strict=True)
        # MobileNet's head is a 1x1 convolution in Keras: the same numbers in another shape.
        layer.set_weights([value.reshape(weight.shape) for weight, value in values])
    if published.input is not None:
        _adapt_first_convolution(model, published.input, spec)


def _adapt_first_convolution(model: keras.Model, published: PublishedInput, spec: BackboneSpec) -> None:
    """Rewrite the first convolution for the input of `spec`; the module's docstring has the formula."""
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
