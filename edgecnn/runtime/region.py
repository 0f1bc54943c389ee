"""`--roi`: the region of the picture that is classified, as a view without a copy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image

_EXAMPLES = "100,50,320,240 in pixels, or 25%,25%,50%,50%, or 0.25,0.25,0.5,0.5"
_ROUNDING = 1e-9
"""Tolerance for sums such as 0.1 + 0.9, which may not be exactly 1 in floating point."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels, or in fractions of a picture of unknown size."""

    x: float
    y: float
    width: float
    height: float
    unit: Literal["pixel", "fraction"]


class Box(NamedTuple):
    """A rectangle in pixels, inside a picture and at least one pixel in size."""

    top: int
    left: int
    height: int
    width: int


def parse_region(text: str) -> Region:
    """Parse `X,Y,W,H`: left, top, width and height.

    Args:
        text: Four numbers in whole pixels, in percent, or in fractions between 0 and 1. A percent sign or a decimal
            point in one number sets the unit of all four.

    Returns:
        The region, in pixels or in fractions.

    Raises:
        InputError: The text is not a region, its unit is ambiguous, or it extends beyond the picture.
    """
    parts = [part.strip() for part in text.split(",")]
    percent = any(part.endswith("%") for part in parts)
    fraction = percent or "." in text
    numbers = _parse_numbers(text, parts, percent)
    if not fraction and max(numbers) <= 1:
        raise InputError(
            f"expected a region such as {_EXAMPLES}, got {text!r}, which could be pixels or "
            "fractions; write fractions with a decimal point, as in 0.0"
        )
    x, y, width, height = (number / 100 if percent else number for number in numbers)
    if min(x, y) < 0 or min(width, height) <= 0:
        raise InputError(f"expected a region with X and Y of 0 or more and W and H above 0, got {text!r}")
    if fraction and max(x + width, y + height) > 1 + _ROUNDING:
        raise InputError(f"expected X + W and Y + H within the picture (100%, or 1), got {text!r}; make W or H smaller")
    return Region(x, y, width, height, "fraction" if fraction else "pixel")


def _parse_numbers(text: str, parts: list[str], percent: bool) -> list[float]:
    digits = [part.removesuffix("%") for part in parts]
    if percent and any(not part.endswith("%") and part != "0" for part in parts):
        raise InputError(f"expected a percent sign on all four numbers, got {text!r}")
    try:
        numbers = [float(number) for number in digits]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"expected a region X,Y,W,H such as {_EXAMPLES}, got {text!r}")
    if not percent and "." not in text and not all(number.is_integer() for number in numbers):
        raise InputError(f"expected a region in whole pixels, got {text!r}; write it as in {_EXAMPLES}")
    return numbers


def place_region(region: Region, height: int, width: int) -> Box:
    """Return the pixels that a region covers in a picture; always inside it and at least one pixel.

    The edges are rounded, not the sizes, so that regions that touch as fractions also touch as pixels.

    Args:
        region: The region to place.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Returns:
        The region in pixels of this picture.

    Raises:
        InputError: The region is in pixels and does not fit into the picture.
    """
    if region.unit == "fraction":
        top, box_height = _span(region.y, region.height, height)
        left, box_width = _span(region.x, region.width, width)
        return Box(top, left, box_height, box_width)
    box = Box(int(region.y), int(region.x), int(region.height), int(region.width))
    if box.left + box.width > width or box.top + box.height > height:
        raise InputError(
            f"expected a region inside {width}x{height} pixels, got X+W {box.left + box.width} and Y+H "
            f"{box.top + box.height}; make it smaller or give it in percent"
        )
    return box


def _span(start: float, extent: float, size: int) -> tuple[int, int]:
    first = min(_edge(start, size), size - 1)
    end = min(_edge(start + extent, size), size)
    return first, max(1, end - first)


def _edge(fraction: float, size: int) -> int:
    # 0.7 + 0.2 is slightly less than 0.9 in floating point; both must give the same pixel.
    return math.floor(round(fraction * size, 6) + 0.5)


def crop(image: Image, region: Region) -> Image:
    """Return a region of an image as a view, without a copy.

    Args:
        image: uint8 HWC RGB image.
        region: The region to cut out.

    Returns:
        A view that is valid as long as the image's pixels are.

    Raises:
        InputError: The region is in pixels and does not fit into the image.
    """
    box = place_region(region, image.shape[0], image.shape[1])
    return image[box.top : box.top + box.height, box.left : box.left + box.width]
