from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.model_file.tflite_metadata import Normalization
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.preprocess_option import parse_preprocess
from edgecnn.runtime.inference.tensors import TensorSpec

BYTES = TensorSpec(0, "image", (1, 4, 5, 3), np.dtype(np.uint8), 1 / 64, 127)
FLOATS = TensorSpec(0, "image", (1, 4, 5, 3), np.dtype(np.float32), 0.0, 0)


def a_model(normalization: Normalization | None = None) -> ModelFile:
    return ModelFile(Path("m.tflite"), None, None, None, normalization)


def test_the_resize_is_given_and_the_rest_comes_from_the_tensor() -> None:
    assert parse_preprocess("squash", BYTES, a_model()) == PreprocessSpec(
        height=4, width=5, resize="squash", mean=(127,) * 3, std=(64,) * 3
    )


def test_every_setting_can_be_given() -> None:
    text = "center_crop:0.875, interpolation=area, mean=1/2/3, std=4"
    assert parse_preprocess(text, FLOATS, a_model()) == PreprocessSpec(
        height=4, width=5, crop_fraction=0.875, interpolation="area", mean=(1, 2, 3), std=(4, 4, 4)
    )


def test_json_is_equivalent_to_settings() -> None:
    text = ' {"resize": "letterbox", "mean": [1, 2, 3], "std": [4, 4, 4]}'
    assert parse_preprocess(text, FLOATS, a_model()) == parse_preprocess(
        "letterbox,mean=1/2/3,std=4", FLOATS, a_model()
    )


def test_the_tensor_overrides_the_metadata_and_the_user_overrides_both() -> None:
    model = a_model(Normalization((127.5,), (127.5,)))
    assert parse_preprocess("squash", BYTES, model).mean == (127, 127, 127)
    assert parse_preprocess("squash", FLOATS, model).std == (127.5, 127.5, 127.5)
    assert parse_preprocess("squash,mean=0", BYTES, model).mean == (0, 0, 0)
    by_channel = a_model(Normalization((1, 2, 3), (4, 5, 6)))
    assert parse_preprocess("squash", FLOATS, by_channel).mean == (1, 2, 3)


def test_a_file_for_gray_has_one_mean_and_one_std() -> None:
    gray = TensorSpec(0, "image", (1, 4, 5, 1), np.dtype(np.uint8), 1 / 64, 127)
    expected = PreprocessSpec(height=4, width=5, resize="squash", mean=(127,), std=(64,))
    assert parse_preprocess("squash", gray, a_model()) == expected
    assert parse_preprocess("squash,mean=1,std=2", gray, a_model()).mean == (1,)


@pytest.mark.parametrize("text", ["squash", "squash,mean=1", '{"resize": "squash"}'])
def test_an_unknown_normalization_must_be_given(text: str) -> None:
    with pytest.raises(InputError, match="does not specify its normalization; add mean and std"):
        parse_preprocess(text, FLOATS, a_model())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "unknown resize ''"),
        ("centre_crop", "unknown resize 'centre_crop': did you mean 'center_crop'"),
        ("squash,color=bgr", "unknown preprocessing setting 'color'"),
        ("squash,mean", "unknown preprocessing setting 'mean'"),
        ("squash,mean=x", "expected mean as one number or three such as 127.5/127.5/127.5, got 'x'"),
        ("squash,mean=1/2", "mean"),
        ("squash,std=0", "std"),
        ("center_crop:2", "crop_fraction: .* less than or equal to 1"),
        ("center_crop:half", "crop_fraction: .* valid number"),
        ("squash,interpolation=cubic", "interpolation: "),
        ("{", "--preprocess is not valid JSON"),
        ('{"color": "bgr"}', "color: Extra inputs are not permitted"),
    ],
)
def test_an_invalid_option_is_rejected_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse_preprocess(text, BYTES, a_model())
    assert "\n" not in str(caught.value)


def test_an_unknown_resize_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        parse_preprocess("leterbox", BYTES, a_model())
    assert caught.value.nearest == "letterbox"
