"""Options of outputs: size limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.runtime.outputs.options import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1B", 1),
        ("100kB", 100_000),
        ("100KB", 100_000),
        ("500 kB", 500_000),
        ("10MB", 10_000_000),
        ("500mb", 500_000_000),
        ("2GB", 2_000_000_000),
        ("1KiB", 1024),
        ("1 MiB", 1024**2),
        (" 1.5GiB ", 3 * 1024**3 // 2),
        (".5MB", 500_000),
        ("0.0019kB", 1),
    ],
)
def test_a_number_with_a_unit_is_a_number_of_bytes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        *("", "MB", "500", "5XB", "-5MB", "+5MB", "1e3MB", "1,5MB", "5.MB", "1.5.5MB", "nanMB"),
        *("0MB", "0.5B", "5MB\n5MB", "5MB 5MB", "9" * 400 + "MB"),
        "\N{ARABIC-INDIC DIGIT FIVE}MB",
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_units(text: str) -> None:
    with pytest.raises(InputError, match="expected a size of at least one byte in B, kB, MB, GB, KiB") as caught:
        parse_size(text)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


@given(st.integers(1, 8_000_000), st.sampled_from([("B", 1), ("MB", 10**6), ("GiB", 2**30)]))
def test_whole_numbers_are_exact(number: int, unit: tuple[str, int]) -> None:
    name, factor = unit
    assert parse_size(f"{number}{name}") == number * factor
