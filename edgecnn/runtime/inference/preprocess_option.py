"""The option `--preprocess`: preprocessing for a model file that does not specify its own."""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import ValidationError

from edgecnn.core.errors import InputError, UnknownName, first_problem
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.tensors import TensorSpec, normalization_of

_RESIZES = get_args(PreprocessSpec.model_fields["resize"].annotation)
_KEYS = ("interpolation", "mean", "std")


def parse_preprocess(text: str, image: TensorSpec, model: ModelFile) -> PreprocessSpec:
    """Parse the value of `--preprocess`.

    Size and number of channels come from the input tensor. If `text` sets no mean and std, they come from the scale and
    zero point of a uint8 input, or else from the file's standard metadata.

    Args:
        text: `RESIZE[:CROP_FRACTION][,interpolation=I][,mean=M][,std=S]`, where M and S are one number, or three
            separated by "/"; or a JSON object with the fields of `PreprocessSpec`.
        image: Input tensor of the model.
        model: The model file.

    Returns:
        The complete preprocessing.

    Raises:
        InputError: The text cannot be parsed, a value is out of range, or mean and std are unknown.
    """
    channels = image.shape[3]
    fields = _from_json(text) if text.lstrip().startswith("{") else _from_settings(text, channels)
    fields = {"height": image.shape[1], "width": image.shape[2], **_known_normalization(image, model), **fields}
    if "mean" not in fields or "std" not in fields:
        raise InputError(
            f"{model.path} does not specify its normalization; add mean and std, for example mean=127.5,std=127.5"
        )
    try:
        return PreprocessSpec.model_validate(fields)
    except ValidationError as error:
        raise InputError(f"--preprocess {text!r}: {first_problem(error)}") from None


def _known_normalization(image: TensorSpec, model: ModelFile) -> dict[str, Any]:
    channels = image.shape[3]
    # The quantization of a uint8 input defines its normalization exactly, while metadata was written by hand.
    if (exact := normalization_of(image)) is not None:
        mean, std = exact
        return {"mean": (mean,) * channels, "std": (std,) * channels}
    if model.normalization is not None and model.normalization.mean and model.normalization.std:
        return {
            "mean": _by_channel(model.normalization.mean, channels),
            "std": _by_channel(model.normalization.std, channels),
        }
    return {}


def _from_json(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--preprocess is not valid JSON: {error}") from None
    return dict(fields)


def _from_settings(text: str, channels: int) -> dict[str, Any]:
    resize, *settings = [part.strip() for part in text.split(",")]
    name, _, fraction = resize.partition(":")
    if name not in _RESIZES:
        raise UnknownName("resize", name, _RESIZES)
    fields: dict[str, Any] = {"resize": name}
    if fraction:
        fields["crop_fraction"] = fraction
    for setting in settings:
        key, equals, value = setting.partition("=")
        if key not in _KEYS or not equals:
            raise UnknownName("preprocessing setting", key, _KEYS)
        fields[key] = value if key == "interpolation" else _by_channel(_numbers(key, value), channels)
    return fields


def _numbers(key: str, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in value.split("/"))
    except ValueError:
        raise InputError(f"expected {key} as one number or three such as 127.5/127.5/127.5, got {value!r}") from None


def _by_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Repeat a single value for every channel."""
    return values * channels if len(values) == 1 else values
