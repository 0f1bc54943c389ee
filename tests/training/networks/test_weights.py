from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgecnn.core.errors import WriteError
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.weights import save_weights, starting_weights
from edgecnn.training.quantization.fold_batch_norm import fold_model
from edgecnn.training.quantization.quantization_aware import quantize_aware
from tests.training.networks import IMAGE_SHAPE, SPEC, scramble


def small_network() -> Any:
    """Return a network with trainable and non-trainable weights, and with a layer name that is a prefix of another."""
    image = keras.Input(IMAGE_SHAPE, name="image")
    x = keras.layers.BatchNormalization(name="conv_bn")(keras.layers.Conv2D(4, 3, name="conv")(image))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, keras.layers.Dense(2, name="classifier")(x))
    scramble(model)
    return model


def frozen_network() -> Any:
    model = small_network()
    for layer in model.layers[:-1]:
        layer.trainable = False
    return model


def quantization_aware_network() -> Any:
    return quantize_aware(fold_model(small_network()), SPEC)


def layout(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all attributes and all arrays of an HDF5 file, by their path in it."""
    attributes: dict[str, Any] = {}
    arrays: dict[str, Any] = {}

    def collect(name: str, item: Any) -> None:
        attributes.update({f"{name}@{key}": (value.dtype, value.tolist()) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(file) as content:
        attributes.update({f"@{key}": np.asarray(value).tolist() for key, value in content.attrs.items()})
        content.visititems(collect)
    return attributes, arrays


@pytest.mark.parametrize("build", [small_network, frozen_network, quantization_aware_network])
def test_saved_weights_have_the_layout_of_keras(build: Any, tmp_path: Path) -> None:
    model = build()
    save_weights(model, tmp_path / "edgecnn.h5")
    model.save_weights(tmp_path / "keras.h5")
    (attributes, arrays), (keras_attributes, keras_arrays) = (
        layout(tmp_path / f"{name}.h5") for name in ("edgecnn", "keras")
    )
    assert attributes == keras_attributes
    assert list(arrays) == list(keras_arrays)
    for name, values in keras_arrays.items():
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)


def test_saved_weights_can_be_loaded(tmp_path: Path) -> None:
    model, other = small_network(), small_network()
    scramble(model, seed=1)
    save_weights(model, tmp_path / "weights.h5")
    other.load_weights(tmp_path / "weights.h5")
    for loaded, saved in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, saved)


def test_weights_are_saved_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    model = build_backbone(backbone_spec("mnist_cnn"), height=28, width=28, weights=None)
    for name in ("one", "other"):
        save_weights(model, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        save_weights(small_network(), tmp_path / "file" / "weights.h5")


@pytest.mark.parametrize(
    ("choice", "name", "expected"),
    [
        ("auto", "vgg16", "imagenet"),
        ("auto", "lenet5", None),
        ("imagenet", "vgg16", "imagenet"),
        ("none", "vgg16", None),
        ("mine.h5", "vgg16", Path("mine.h5")),
    ],
)
def test_the_option_selects_the_starting_weights(choice: str, name: str, expected: Path | str | None) -> None:
    assert starting_weights(choice, backbone_spec(name)) == expected
