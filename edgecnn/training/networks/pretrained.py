"""Loading of pretrained weights into a network: ImageNet weights by name, or a file."""

from __future__ import annotations

from pathlib import Path

import h5py  # type: ignore[import-untyped]

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.efficientnet_lite import SCALINGS, imagenet_checkpoint, load_checkpoint
from edgecnn.training.networks.keras_weights import PUBLISHED, imagenet_weights, load_published


def load_pretrained(model: keras.Model, spec: BackboneSpec, weights: Path | str | None, *, head: bool) -> None:
    """Load pretrained weights into a model.

    Args:
        model: Network of `spec`.
        spec: Entry of the zoo.
        weights: "imagenet" for the published weights; the `Path` of a file; or None to leave the model unchanged. A
            file is an `.h5` that Keras publishes or that edgecnn saved, or, for EfficientNet-Lite, a `.pth` with the
            tensor names of the packaged checkpoints.
        head: True if `model` is the 1000-class classifier, False if it is a backbone.

    Raises:
        InputError: The weights cannot be found.
        MissingDependency: The package with the weights is not installed.
        ModelFileError: The file is invalid or of another network.
    """
    if weights is None:
        return
    file = weights if isinstance(weights, Path) else _named(spec, weights, model, head)
    if file.suffix == ".pth" and spec.name in SCALINGS:
        load_checkpoint(model, file)
    elif file.suffix == ".h5":
        _load_h5(model, spec, file, head)
    else:
        known = "a .pth or .h5 file" if spec.name in SCALINGS else "an .h5 file"
        raise InputError(f"expected {known} with weights of {spec.name}, got {file}")


def _named(spec: BackboneSpec, name: str, model: keras.Model, head: bool) -> Path:
    if name != "imagenet":
        raise InputError(f"expected weights 'imagenet', None or a Path, got {name!r}")
    if spec.name in SCALINGS:
        return imagenet_checkpoint(spec.name)
    if not spec.pretrained:
        raise InputError(
            f"no ImageNet weights of {spec.name} are available in a format that edgecnn reads; train it from scratch "
            "with --weights none, or pass a weights file"
        )
    _, height, width, _ = model.input_shape
    return imagenet_weights(spec, height, width, head=head)


def _load_h5(model: keras.Model, spec: BackboneSpec, file: Path, head: bool) -> None:
    if not file.exists():
        raise ModelFileError(f"no such weights file: {file}")
    try:
        if spec.name in PUBLISHED and not _was_saved_here(file, model):
            load_published(model, spec, file, head=head)
        else:
            model.load_weights(file)
    except (ValueError, KeyError, OSError) as error:
        # Keras names the first layer or tensor that differs, in a message of several lines.
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelFileError(
            f"{file} does not fit {model.name}: {reason}; choose the model it was saved from"
        ) from None


def _was_saved_here(file: Path, model: keras.Model) -> bool:
    """Return True if the file has edgecnn's name for the input layer. Keras's own networks call it `input_1`."""
    own = model.layers[0].name
    with h5py.File(file) as content:
        # Names are str or bytes, depending on the version of h5py that wrote the file.
        return any(name in (own, own.encode()) for name in content.attrs.get("layer_names", ()))
