"""`--roi`: the part of the picture that is classified, as a view of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image

_EXAMPLES = "100,50,320,240 in pixels, or 25%,25%,50%,50%, or 0.25,0.25,0.5,0.5"
_ROUNDING = 1e-9
"""0.1 + 0.9 and its like may miss 1 by so much."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels, or in fractions of a picture whose size is not known yet."""

    x: float
    y: float
    width: float
    height: float
    unit: Literal["pixel", "fraction"]


class Box(NamedTuple):
    """A rectangle of at least one pixel inside a picture."""

    top: int
    left: int
    height: int
    width: int


def parse_region(text: str) -> Region:
    """Reads `X,Y,W,H`: left, top, width and height in whole pixels, in per cent, or in fractions of 0 to 1.

    A sign of per cent or a decimal point anywhere decides for all four. Raises `InputError`.
    """
    words = [word.strip() for word in text.split(",")]
    percent = any(word.endswith("%") for word in words)
    fraction = percent or "." in text
    numbers = _numbers(text, words, percent)
    if not fraction and max(numbers) <= 1:
        raise InputError(
            f"expected a region such as {_EXAMPLES}, got {text!r}, which may be either; "
            "for fractions write a decimal point, as in 0.0"
        )
    x, y, width, height = (number / 100 if percent else number for number in numbers)
    if min(x, y) < 0 or min(width, height) <= 0:
        raise InputError(f"expected a region with X and Y of 0 or more and W and H above 0, got {text!r}")
    if fraction and max(x + width, y + height) > 1 + _ROUNDING:
        raise InputError(f"expected X + W and Y + H within the picture (100%, or 1), got {text!r}; make W or H smaller")
    return Region(x, y, width, height, "fraction" if fraction else "pixel")


def _numbers(text: str, words: list[str], percent: bool) -> list[float]:
    bare = [word.removesuffix("%") for word in words]
    if percent and any(not word.endswith("%") and word != "0" for word in words):
        raise InputError(f"expected a sign of per cent on all four numbers, got {text!r}")
    try:
        numbers = [float(word) for word in bare]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"expected a region X,Y,W,H such as {_EXAMPLES}, got {text!r}")
    if not percent and "." not in text and not all(number.is_integer() for number in numbers):
        raise InputError(f"expected a region in whole pixels, got {text!r}; write such as {_EXAMPLES}")
    return numbers


def place_region(region: Region, height: int, width: int) -> Box:
    """Where the region lies in a picture of `height` x `width` pixels; always inside and at least one pixel.

    Edges are rounded, not sizes: regions that touch as fractions touch as pixels. Raises `InputError` for a region in
    pixels that does not fit.
    """
    if region.unit == "fraction":
        top, box_height = _span(region.y, region.height, height)
        left, box_width = _span(region.x, region.width, width)
        return Box(top, left, box_height, box_width)
    box = Box(int(region.y), int(region.x), int(region.height), int(region.width))
    if box.left + box.width > width or box.top + box.height > height:
        raise InputError(
            f"expected a region inside {width}x{height} pixels, got X+W {box.left + box.width} and Y+H "
            f"{box.top + box.height}; make it smaller or give it in per cent"
        )
    return box


def _span(start: float, extent: float, size: int) -> tuple[int, int]:
    first = min(_edge(start, size), size - 1)
    end = min(_edge(start + extent, size), size)
    return first, max(1, end - first)


def _edge(fraction: float, size: int) -> int:
    # 0.7 + 0.2 is a little less than 0.9: both must come to the same pixel.
    return math.floor(round(fraction * size, 6) + 0.5)


def crop(image: Image, region: Region) -> Image:
    """The region of `image` (uint8 HWC RGB): a view, valid as long as the image's pixels are. Raises `InputError`."""
    box = place_region(region, image.shape[0], image.shape[1])
    return image[box.top : box.top + box.height, box.left : box.left + box.width]
