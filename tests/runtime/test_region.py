from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.runtime.region import Box, Region, crop, parse_region, place_region

sides = st.integers(1, 5000)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("100,50,320,240", Region(100, 50, 320, 240, "pixel")),
        ("0, 0, 2, 1", Region(0, 0, 2, 1, "pixel")),
        ("25%,0,50%,12.5%", Region(0.25, 0, 0.5, 0.125, "fraction")),
        ("0,0.25,1,0.5", Region(0, 0.25, 1, 0.5, "fraction")),
        ("0.0,0,1,1", Region(0, 0, 1, 1, "fraction")),
        ("0.9,0.7,0.1,0.3", Region(0.9, 0.7, 0.1, 0.3, "fraction")),
    ],
)
def test_a_region_is_in_pixels_percent_or_fractions(text: str, region: Region) -> None:
    assert parse_region(text) == region


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a region X,Y,W,H such as"),
        ("1,2,3", "expected a region X,Y,W,H such as"),
        ("1,2,3,4,5", "expected a region X,Y,W,H such as"),
        ("a,b,c,d", "expected a region X,Y,W,H such as"),
        ("nan,0,1,1.0", "expected a region X,Y,W,H such as"),
        ("1e-1,20,30,40", "expected a region in whole pixels"),
        ("0,0,1,1", "which could be pixels or fractions; write fractions with a decimal point"),
        ("10%,20,30%,40%", "expected a percent sign on all four numbers"),
        ("-1,0,20,20", "X and Y of 0 or more and W and H above 0"),
        ("0,0,20,0", "X and Y of 0 or more and W and H above 0"),
        ("60%,0,50%,50%", "X . W and Y . H within the picture"),
        ("0.5,0.5,0.6,0.1", "X . W and Y . H within the picture"),
    ],
)
def test_an_invalid_region_is_rejected_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse_region(text)
    assert "\n" not in str(caught.value)


@given(
    start=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    share=st.tuples(st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True)),
    height=sides,
    width=sides,
)
def test_a_region_in_fractions_is_always_inside_the_picture(
    start: tuple[float, float], share: tuple[float, float], height: int, width: int
) -> None:
    x, y = start
    region = Region(x, y, share[0] * (1 - x), share[1] * (1 - y), "fraction")
    box = place_region(region, height, width)
    assert box.top >= 0 and box.left >= 0 and box.height >= 1 and box.width >= 1
    assert box.top + box.height <= height and box.left + box.width <= width


@given(
    x=st.integers(0, 99), y=st.integers(0, 99), w=st.integers(1, 100), h=st.integers(2, 100), height=sides, width=sides
)
def test_a_region_in_pixels_is_inside_the_picture_or_rejected(
    *, x: int, y: int, w: int, h: int, height: int, width: int
) -> None:
    region = parse_region(f"{x},{y},{w},{h}")
    if x + w <= width and y + h <= height:
        assert place_region(region, height, width) == Box(y, x, h, w)
    else:
        with pytest.raises(InputError, match=f"expected a region inside {width}x{height} pixels, got X"):
            place_region(region, height, width)


@given(cut=st.integers(1, 9), size=st.integers(20, 4000))
def test_adjacent_regions_touch(cut: int, size: int) -> None:
    left = place_region(parse_region(f"0.0,0,0.{cut},1"), size, size)
    right = place_region(parse_region(f"0.{cut},0,0.{10 - cut if cut > 1 else 9},1"), size, size)
    assert left.left + left.width == right.left and right.left + right.width == size


def test_adjacent_regions_touch_even_if_sums_are_inexact() -> None:
    # 0.7 + 0.2 is 0.8999999999999999, and the edge is at half a pixel.
    left, right = (place_region(parse_region(text), 15, 15) for text in ("0.7,0,0.2,1", "0.9,0,0.1,1"))
    assert left.left + left.width == right.left


def test_a_cropped_region_is_a_view() -> None:
    image = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    view = crop(image, parse_region("50%,25%,50%,50%"))
    assert np.shares_memory(view, image)
    np.testing.assert_array_equal(view, image[2:6, 5:10])
    assert crop(image, parse_region("0,0,100%,100%")).shape == image.shape
