"""The initial weights of a network, and saving weights to a file that is either complete or missing."""

from __future__ import annotations

import io
from pathlib import Path

import h5py  # type: ignore[import-untyped]

from edgecnn.core.atomic import write_bytes
from edgecnn.training.keras import keras, tf
from edgecnn.training.networks.catalog import BackboneSpec


def starting_weights(choice: str, backbone: BackboneSpec) -> Path | str | None:
    """Return the initial weights that `--weights` stands for.

    Args:
        choice: "auto", "imagenet", "none" or the path of a file. "auto" means "imagenet" if the backbone has ImageNet
            weights, and "none" otherwise.
        backbone: Entry of the zoo.

    Returns:
        "imagenet", the path of a file, or None for random weights.
    """
    automatic = "imagenet" if backbone.pretrained else None
    return {"auto": automatic, "imagenet": "imagenet", "none": None}.get(choice, Path(choice))


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a model's weights as HDF5, in the format that `load_weights` reads.

    The file is assembled in memory, because HDF5 objects cannot be closed after the disk is full, and some of them then
    crash the process. Keras's `Model.save_weights` writes to a path only.

    Args:
        model: Flat model, in which every weight is part of a layer.
        path: File to write; it is replaced if it exists.

    Raises:
        WriteError: The file cannot be written.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        _write_layers(file, model)
    write_bytes(path, content.getvalue())


def _write_layers(file: h5py.File, model: keras.Model) -> None:
    """Write the layout that Keras documents for `Model.save_weights`, as Keras 2 writes it.

    Keras splits a list of names that exceeds the 64 kB of an HDF5 attribute, this function does not: the lists of the
    zoo's networks stay below a quarter of that, and h5py raises an error for a longer one.
    """
    file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
    file.attrs["backend"] = keras.backend.backend().encode()
    file.attrs["keras_version"] = keras.__version__.encode()
    # In order of names, as Keras does: a name that is a prefix of another one then comes first.
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _write_weights(file.create_group(layer.name), [*layer.trainable_weights, *layer.non_trainable_weights])
    _write_weights(file.create_group("top_level_model_weights"), [])


def _write_weights(group: h5py.Group, weights: list[tf.Variable]) -> None:
    group.attrs["weight_names"] = [weight.name.encode() for weight in weights]
    for weight in weights:
        group.create_dataset(weight.name, data=weight.numpy())
