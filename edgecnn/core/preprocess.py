"""From any decoded image to the classifier's pixels: the one function that training, evaluation and cameras share.

Geometry is whole pixels, rounded half up from IEEE doubles, and the arithmetic on pixels is fixed-point or exact in
float32, so that x86, ARM and a browser get the same bits: an average over a whole factor, then OpenCV's
`INTER_LINEAR_EXACT`, then, for a network that sees one channel, OpenCV's `COLOR_RGB2GRAY`, which is

    gray = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15

the luma of ITU-R BT.601 (0.299, 0.587, 0.114). The three factors add up to 2**15, so a gray picture stays as it is.
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
"""An image: uint8, HWC, RGB; prepared for a network, it has that network's channels."""

CHANNELS = (1, 3)
"""What a network can see: gray, or red, green and blue."""


class PreprocessSpec(BaseModel):
    """How an image becomes a `[height, width, channels]` uint8 array, and what its bytes mean to the network.

    `resize`: `center_crop` takes the largest centerd region of the target's shape, shrunk by `crop_fraction`, and
    scales it; `squash` scales the whole image, ignoring its shape; `letterbox` scales the whole image and fills the
    rest with `mean`. `interpolation`: `box_linear` averages over the largest whole factor and scales the rest linearly
    (bit-exact everywhere; free of aliasing from half the size down, linear between half and full size); `area` and
    `linear` are OpenCV's, for files that others trained. The network sees `(byte - mean) / std`, per channel; `mean`
    and `std` have three values for one that sees RGB, and one for one that sees gray.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    resize: Literal["center_crop", "squash", "letterbox"] = "center_crop"
    crop_fraction: float = Field(default=1.0, gt=0, le=1)
    interpolation: Literal["box_linear", "area", "linear"] = "box_linear"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for gray."""
        return len(self.mean)

    @field_validator("mean")
    @classmethod
    def _mean_is_of_one_or_three_channels(cls, mean: tuple[float, ...]) -> tuple[float, ...]:
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
    def _std_is_of_as_many(self) -> Self:
        if len(self.std) != len(self.mean):
            raise ValueError("std must have as many values as mean")
        return self


class ResizePlan(NamedTuple):
    """Where the pixels of one source size go; see `plan_resize`."""

    top: int
    left: int
    crop_height: int
    crop_width: int
    """The region of the source that is read."""
    box_height: int
    box_width: int
    """Its size after the average over whole factors; equal to the crop where nothing is averaged."""
    out_top: int
    out_left: int
    out_height: int
    out_width: int
    """The region of the target that is written; the rest is `letterbox` filling."""


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _centerd(whole: int, part: int) -> int:
    return (whole - part) // 2


def _box_factor(crop: int, out: int) -> int:
    # OpenCV adds a box up in 32 bits: 2896 * 2896 pixels of 255 are the most that fit.
    return max(1, min(crop // out, 2896))


@lru_cache(maxsize=256)
def plan_resize(spec: PreprocessSpec, height: int, width: int) -> ResizePlan:
    """Integer geometry for a source of `height` x `width` pixels."""
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
        # A whole number of boxes: fewer than `factor` rows and columns are given up, evenly at both sides.
        crop_height -= crop_height % factor_y
        crop_width -= crop_width % factor_x

    return ResizePlan(
        top=_centerd(height, crop_height),
        left=_centerd(width, crop_width),
        crop_height=crop_height,
        crop_width=crop_width,
        box_height=crop_height // factor_y,
        box_width=crop_width // factor_x,
        out_top=_centerd(spec.height, out_height),
        out_left=_centerd(spec.width, out_width),
        out_height=out_height,
        out_width=out_width,
    )


_INTERPOLATION = {"box_linear": cv2.INTER_LINEAR_EXACT, "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


class Preprocessor:
    """Owns the scratch buffers between the steps, so that a stream of frames allocates nothing."""

    def __init__(self, spec: PreprocessSpec) -> None:
        self.spec = spec
        self._box: Image = np.empty((0, 0, 3), np.uint8)
        self._color: Image = np.empty((0, 0, 3), np.uint8)
        self._fill = np.array([min(255, max(0, _rounded(value))) for value in spec.mean], np.uint8)

    def __call__(self, image: Image, out: Image | None = None) -> Image:
        """Resizes `image` (uint8 HWC RGB, any size) to `[height, width, channels]`, into `out` where it is given.

        `out` is a uint8 array of that shape and is what comes back. Raises `InputError` for anything but an image.
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
        """Resizes in color, then takes the luma: the order in which a network for RGB would see the same picture."""
        if self._color.shape[:2] != out.shape[:2]:
            self._color = np.empty((*out.shape[:2], 3), np.uint8)
        _resize_into(region, self._color, _INTERPOLATION[self.spec.interpolation])
        cv2.cvtColor(self._color, cv2.COLOR_RGB2GRAY, dst=out)

    def _averaged(self, region: Image, plan: ResizePlan) -> Image:
        if self._box.shape[:2] != (plan.box_height, plan.box_width):
            self._box = np.empty((plan.box_height, plan.box_width, 3), np.uint8)
        # INTER_AREA by whole factors is a plain average: exact, and vectorised for 2x2.
        cv2.resize(region, (plan.box_width, plan.box_height), dst=self._box, interpolation=cv2.INTER_AREA)
        return self._box


def _check_image(image: Image) -> None:
    # OpenCV resizes other types too, but then not into the array it is given.
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InputError(f"expected an image of uint8 (height, width, 3), got {image.dtype} {image.shape}; use to_rgb")


def _resize_into(region: Image, out: Image, interpolation: int) -> None:
    if region.shape == out.shape:
        np.copyto(out, region)
    else:
        cv2.resize(region, (out.shape[1], out.shape[0]), dst=out, interpolation=interpolation)


def preprocess(image: Image, spec: PreprocessSpec) -> Image:
    """`Preprocessor(spec)(image)`, for a single image."""
    return Preprocessor(spec)(image)


def to_rgb(decoded: NDArray[Any]) -> Image:
    """Makes uint8 HWC RGB of a decoded array that is already in RGB order: grayscale, RGB or RGBA; uint8 or uint16.

    16 bits keep their high byte; transparency is dropped, as image decoders do.
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
    """Decodes an encoded image file: EXIF orientation applied, 8 bits, RGB. None if it is not a whole image."""
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        # No bytes at all, or a header that claims more pixels than OpenCV's limit.
        return None
    return None if decoded is None else to_rgb(decoded)
