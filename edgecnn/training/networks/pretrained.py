"""Filling a network with weights that somebody trained: ImageNet's by name, or a file's."""

from __future__ import annotations

from pathlib import Path

import h5py  # type: ignore[import-untyped]

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec
from edgecnn.training.networks.efficientnet_lite import SCALINGS, imagenet_checkpoint, load_checkpoint
from edgecnn.training.networks.keras_weights import PUBLISHED, imagenet_weights, load_published


def load_pretrained(model: keras.Model, spec: BackboneSpec, weights: Path | str | None, *, head: bool) -> None:
    """Fills `model`, a network of `spec`, with "imagenet" or with a file, or leaves it as it is (None).

    A file is an `.h5` as Keras publishes or as edgecnn has saved it, or a `.pth` in the form of the packaged
    EfficientNet-Lite checkpoints. `head` says that `model` is the 1000-class classifier.
    Raises `InputError` for weights that cannot be found, `MissingDependency` for a package that would hold them, and
    `ModelFileError` for a file that is not of this network.
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
        raise InputError(f"expected weights 'imagenet', None or the Path of a file, got {name!r}")
    if spec.name in SCALINGS:
        return imagenet_checkpoint(spec.name)
    if not spec.pretrained:
        raise InputError(
            f"there are no ImageNet weights of {spec.name} to be had in a form that edgecnn reads; train it from "
            "scratch with --weights none, or give a file"
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
        # Keras names the first layer or tensor that differs, over several lines.
        reason = " ".join(str(error).split()).rstrip(".")
        raise ModelFileError(
            f"{file} does not fit {model.name}: {reason}; choose the model it was saved from"
        ) from None


def _was_saved_here(file: Path, model: keras.Model) -> bool:
    """Whether the file names the input layer as edgecnn's networks do. Keras's own call it `input_1`."""
    own = model.layers[0].name
    with h5py.File(file) as content:
        # Text or bytes, by the version of h5py that wrote it.
        return any(name in (own, own.encode()) for name in content.attrs.get("layer_names", ()))
