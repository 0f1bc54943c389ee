"""Preprocessing of decoded images for a classifier; training, evaluation and cameras all use this code.

The geometry is in whole pixels, rounded half up from IEEE doubles. The arithmetic on pixels is fixed-point or exact in
float32, so that x86, ARM and a browser compute the same bits. The steps are an average over a whole factor, OpenCV's
`INTER_LINEAR_EXACT` and, for a network with one input channel, OpenCV's `COLOR_RGB2GRAY`, which is

    gray = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15

the luma of ITU-R BT.601 (0.299, 0.587, 0.114). The three factors add up to 2**15, so a gray picture does not change.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgecnn.core.errors import InputError

Image = NDArray[np.uint8]
"""uint8 `[height, width, 3]` RGB; after preprocessing, it has the number of channels of the network's input."""

CHANNELS = (1, 3)
"""Possible numbers of input channels of a network: gray, or red, green and blue."""


class PreprocessSpec(BaseModel):
    """Description of the preprocessing: from an image to a uint8 `[height, width, channels]` array and its meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    height: int = Field(gt=0)
    """Height of the target in pixels."""
    width: int = Field(gt=0)
    """Width of the target in pixels."""
    resize: Literal["center_crop", "squash", "letterbox"] = "center_crop"
    """How the image is brought to the target size.

    `center_crop` takes the largest centered region with the target's aspect ratio, shrinks it by `crop_fraction`, and
    scales it. `squash` scales the whole image and ignores its aspect ratio. `letterbox` scales the whole image, keeps
    its aspect ratio, and fills the rest with `mean`.
    """
    crop_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the largest centered region, along each side, that `center_crop` keeps."""
    interpolation: Literal["box_linear", "area", "linear"] = "box_linear"
    """How pixels are interpolated.

    `box_linear` averages over the largest whole factor and scales the rest linearly. It is bit-exact on every machine,
    free of aliasing from half the size down, and linear between half and full size. `area` and `linear` are OpenCV's,
    for model files that others trained.
    """
    mean: tuple[float, ...]
    """Mean per channel, three values for RGB or one for gray; the network's input is `(byte - mean) / std`."""
    std: tuple[float, ...]
    """Divisor per channel, as many values as `mean`."""

    @property
    def channels(self) -> int:
        """Number of input channels: 3 for RGB, 1 for gray."""
        return len(self.mean)

    @field_validator("mean")
    @classmethod
    def _mean_has_one_or_three_values(cls, mean: tuple[float, ...]) -> tuple[float, ...]:
        if len(mean) not in CHANNELS:
            raise ValueError("mean must have one value for gray or three for RGB")
        return mean

    @field_validator("std")
    @classmethod
    def _std_is_positive(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if not all(value > 0 for value in std):
            raise ValueError("std must be positive")
        return std

    @model_validator(mode="after")
    def _std_has_as_many_values_as_mean(self) -> Self:
        if len(self.std) != len(self.mean):
            raise ValueError("std must have as many values as mean")
        return self


class ResizePlan(NamedTuple):
    """Geometry of a resize from one source size, in pixels; see `plan_resize`.

    `top`, `left`, `crop_height` and `crop_width` are the region of the source that is read. `out_top`, `out_left`,
    `out_height` and `out_width` are the region of the target that is written; `letterbox` fills the rest.
    """

    top: int
    left: int
    crop_height: int
    crop_width: int
    box_height: int
    """Height of the region after averaging over whole factors; equal to the crop's if nothing is averaged."""
    box_width: int
    """Width of that region."""
    out_top: int
    out_left: int
    out_height: int
    out_width: int


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _centered(whole: int, part: int) -> int:
    return (whole - part) // 2


def _box_factor(crop: int, out: int) -> int:
    # OpenCV sums a box in 32 bits: 2896 * 2896 pixels of 255 is the maximum.
    return max(1, min(crop // out, 2896))


@lru_cache(maxsize=256)
def plan_resize(spec: PreprocessSpec, height: int, width: int) -> ResizePlan:
    """Compute the integer geometry for a source size.

    Args:
        spec: Description of the preprocessing.
        height: Height of the source in pixels.
        width: Width of the source in pixels.

    Returns:
        Regions of the source and of the target, each centered.
    """
    crop_height, crop_width = height, width
    out_height, out_width = spec.height, spec.width
    if spec.resize == "center_crop":
        # The largest region with the target's aspect ratio, in integers: h / w == spec.height / spec.width.
        fitting_height = min(height, _rounded(width * spec.height / spec.width))
        fitting_width = min(width, _rounded(height * spec.width / spec.height))
        crop_height = max(1, _rounded(fitting_height * spec.crop_fraction))
        crop_width = max(1, _rounded(fitting_width * spec.crop_fraction))
    elif spec.resize == "letterbox":
        scale = min(spec.height / height, spec.width / width)
        out_height = min(spec.height, max(1, _rounded(height * scale)))
        out_width = min(spec.width, max(1, _rounded(width * scale)))

    factor_y = factor_x = 1
    if spec.interpolation == "box_linear":
        factor_y, factor_x = _box_factor(crop_height, out_height), _box_factor(crop_width, out_width)
        # Keep a whole number of boxes: fewer than `factor` rows and columns are dropped, evenly on both sides.
        crop_height -= crop_height % factor_y
        crop_width -= crop_width % factor_x

    return ResizePlan(
        top=_centered(height, crop_height),
        left=_centered(width, crop_width),
        crop_height=crop_height,
        crop_width=crop_width,
        box_height=crop_height // factor_y,
        box_width=crop_width // factor_x,
        out_top=_centered(spec.height, out_height),
        out_left=_centered(spec.width, out_width),
        out_height=out_height,
        out_width=out_width,
    )


_INTERPOLATION = {"box_linear": cv2.INTER_LINEAR_EXACT, "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


class Preprocessor:
    """Preprocessing of a stream of images.

    It owns the scratch buffers between the steps, so that a stream of frames of one size allocates nothing.
    """

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._box: Image = np.empty((0, 0, 3), np.uint8)
        self._color: Image = np.empty((0, 0, 3), np.uint8)
        self._fill = np.array([min(255, max(0, _rounded(value))) for value in spec.mean], np.uint8)

    def __call__(self, image: Image, out: Image | None = None) -> Image:
        """Preprocess an image.

        Args:
            image: uint8 `[any height, any width, 3]`, RGB.
            out: uint8 `[height, width, channels]` array to write the result to; a new one if not given.

        Returns:
            `out`, or the new array.

        Raises:
            InputError: `image` has another shape or dtype.
        """
        _check_image(image)
        spec = self.spec
        if out is None:
            out = np.empty((spec.height, spec.width, spec.channels), np.uint8)
        plan = plan_resize(spec, image.shape[0], image.shape[1])
        region = image[plan.top : plan.top + plan.crop_height, plan.left : plan.left + plan.crop_width]
        if (plan.box_height, plan.box_width) != (plan.crop_height, plan.crop_width):
            region = self._averaged(region, plan)
        if (plan.out_height, plan.out_width) != (spec.height, spec.width):
            out[:] = self._fill
        inner = out[plan.out_top : plan.out_top + plan.out_height, plan.out_left : plan.out_left + plan.out_width]
        if spec.channels == 1:
            self._gray_into(region, inner)
        else:
            _resize_into(region, inner, _INTERPOLATION[spec.interpolation])
        return out

    def _gray_into(self, region: Image, out: Image) -> None:
        """Resize in color, then take the luma, so that it is the luma of what a network for RGB would see."""
        if self._color.shape[:2] != out.shape[:2]:
            self._color = np.empty((*out.shape[:2], 3), np.uint8)
        _resize_into(region, self._color, _INTERPOLATION[self.spec.interpolation])
        cv2.cvtColor(self._color, cv2.COLOR_RGB2GRAY, dst=out)

    def _averaged(self, region: Image, plan: ResizePlan) -> Image:
        if self._box.shape[:2] != (plan.box_height, plan.box_width):
            self._box = np.empty((plan.box_height, plan.box_width, 3), np.uint8)
        # INTER_AREA by whole factors is a plain average: exact, and vectorized for 2x2.
        cv2.resize(region, (plan.box_width, plan.box_height), dst=self._box, interpolation=cv2.INTER_AREA)
        return self._box


def _check_image(image: Image) -> None:
    # OpenCV resizes other dtypes too, but does not write them into the given array.
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"expected an image of uint8 (height, width, 3), got {image.dtype} {image.shape}; use to_rgb")


def _resize_into(region: Image, out: Image, interpolation: int) -> None:
    if region.shape == out.shape:
        np.copyto(out, region)
    else:
        cv2.resize(region, (out.shape[1], out.shape[0]), dst=out, interpolation=interpolation)


def preprocess(image: Image, spec: PreprocessSpec) -> Image:
    """Preprocess a single image.

    Args:
        image: uint8 `[any height, any width, 3]`, RGB.
        spec: Description of the preprocessing.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        InputError: `image` has another shape or dtype.
    """
    return Preprocessor(spec)(image)


def to_rgb(decoded: NDArray[Any]) -> Image:
    """Convert a decoded array, whose channels are already in RGB order, to an image.

    Args:
        decoded: uint8 or uint16 `[height, width]` or `[height, width, 1, 3 or 4]`: grayscale, RGB or RGBA.

    Returns:
        uint8 `[height, width, 3]` RGB. Of 16 bits the high byte is kept; transparency is dropped, as image decoders do.

    Raises:
        InputError: The array has another shape or dtype.
    """
    if decoded.dtype == np.uint16:
        decoded = (decoded >> 8).astype(np.uint8)
    if decoded.dtype != np.uint8:
        raise InputError(f"expected an image of uint8 or uint16, got {decoded.dtype}; scale it to 0..255 first")
    if decoded.ndim == 2:
        decoded = decoded[:, :, None]
    if decoded.ndim != 3 or decoded.shape[2] not in (1, 3, 4) or 0 in decoded.shape:
        raise InputError(f"expected an image of shape (height, width[, 1, 3 or 4]), got {decoded.shape}")
    if decoded.shape[2] == 1:
        return np.repeat(decoded, 3, axis=2)
    return np.ascontiguousarray(decoded[:, :, :3])


def decode_image(content: bytes) -> Image | None:
    """Decode an encoded image.

    Args:
        content: Bytes of an image file.

    Returns:
        uint8 `[height, width, 3]` RGB, upright according to the EXIF orientation; None if the content is not an image
        or is truncated.
    """
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        # There are no bytes, or the header claims more pixels than OpenCV's limit.
        return None
    return None if decoded is None else to_rgb(decoded)
