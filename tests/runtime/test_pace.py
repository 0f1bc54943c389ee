from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.runtime.pace import pace, step_pace


def passing(every_s: float, times_ns: list[int]) -> list[int]:
    last, passed = pace(every_s), []
    for at_ns in times_ns:
        last, passes = step_pace(last, at_ns)
        if passes:
            passed.append(at_ns)
    return passed


@given(
    every_s=st.floats(0, 5),
    gaps_ns=st.lists(st.integers(1, 3_000_000_000), min_size=1, max_size=60),
)
def test_results_keep_the_minimum_interval_and_none_is_late(every_s: float, gaps_ns: list[int]) -> None:
    times_ns = [sum(gaps_ns[: number + 1]) for number in range(len(gaps_ns))]
    passed = passing(every_s, times_ns)
    every_ns = round(every_s * 1e9)
    assert passed[0] == times_ns[0]
    for earlier, later in pairwise(passed):
        assert later - earlier >= every_ns
        assert later == next(at for at in times_ns if at - earlier >= every_ns and at > earlier)


def test_an_interval_of_0_lets_every_frame_pass() -> None:
    assert passing(0, [0, 0, 1, 2]) == [0, 0, 1, 2]


@pytest.mark.parametrize("every_s", [-1, math.inf, math.nan])
def test_an_invalid_interval_is_rejected(every_s: float) -> None:
    with pytest.raises(InputError, match="expected every of 0 or more seconds"):
        pace(every_s)
