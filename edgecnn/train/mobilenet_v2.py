"""MobileNetV2 (Sandler et al., 2018) as Keras has it, and where its ImageNet weights are."""

from __future__ import annotations

import http.client
import os
import urllib.request
from pathlib import Path

from edgecnn.core.atomic import write_bytes
from edgecnn.core.errors import InputError
from edgecnn.train.keras import keras

WEIGHT_SIZES = (96, 128, 160, 192, 224)
"""The input sizes that weights were published for."""

_BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
_TIMEOUT_S = 10.0
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def build_mobilenet_v2(alpha: float, height: int, width: int) -> keras.Model:
    """A randomly initialised backbone: float32 `[None, height, width, 3]` to pooled features `[None, 1280 or more]`."""
    # An input of our own, since Keras numbers its own by what the process has built before.
    image = keras.Input((height, width, 3), name="image")
    base = keras.applications.MobileNetV2(
        (height, width, 3), alpha=alpha, include_top=False, weights=None, input_tensor=image
    )
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(base.output), name="mobilenet_v2")


def weights_size(height: int, width: int) -> int:
    """The published size whose weights start a network of `height` x `width`.

    The smallest one that is not below the longer side, else 224. (Keras itself takes 224 for every other size.)
    """
    return next((size for size in WEIGHT_SIZES if size >= max(height, width)), WEIGHT_SIZES[-1])


def imagenet_weights(alpha: float, height: int, width: int, *, head: bool) -> Path:
    """The ImageNet weights in the Keras folder (`$KERAS_HOME/models`, else `~/.keras/models`), downloaded if need be.

    `head` asks for the file that has the 1000-class head too. Raises `InputError` where the file is not there and
    cannot be fetched, with the place to put it.
    """
    size = weights_size(height, width)
    ending = "" if head else "_no_top"
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{size}{ending}.h5"
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / "models"
    file = folder / name
    if not file.exists():
        write_bytes(file, _download(name, folder))
    return file


def _download(name: str, folder: Path) -> bytes:
    advice = f"fetch {_BASE_URL}{name} on a machine with a network and put it into {folder}"
    try:
        with urllib.request.urlopen(_BASE_URL + name, timeout=_TIMEOUT_S) as response:  # noqa: S310 - https, above
            content: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"the ImageNet weights {name} are not in {folder} and the download failed ({error}); {advice}"
        ) from None
    # A network that asks for a login answers everything with a page of its own.
    if not content.startswith(_HDF5_SIGNATURE):
        raise InputError(f"the download of {name} gave {len(content)} bytes that are not an HDF5 file; {advice}")
    return content
