"""Which weights a network starts with, and a model's weights as a file that is whole or not there."""

from __future__ import annotations

import io
from pathlib import Path

import h5py  # type: ignore[import-untyped]

from edgecnn.core.atomic import write_bytes
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import BackboneSpec

# What `model.save_weights` calls once it has opened a file.
from tf_keras.src.saving.legacy.hdf5_format import save_weights_to_hdf5_group  # isort: skip


def starting_weights(choice: str, backbone: BackboneSpec) -> Path | str | None:
    """What `--weights` means to a backbone: "imagenet", None for ones drawn at random, or a file."""
    automatic = "imagenet" if backbone.pretrained else None
    return {"auto": automatic, "imagenet": "imagenet", "none": None}.get(choice, Path(choice))


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes weights as HDF5, the form that `load_weights` reads. Raises `WriteError`.

    They are put together in memory: HDF5 that runs out of disk leaves objects which cannot be closed, and some of them
    bring the process down.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        save_weights_to_hdf5_group(file, model)
    write_bytes(path, content.getvalue())
