from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgecnn.training.tflite.proportion import clopper_pearson


@st.composite
def counted(draw: st.DrawFn) -> tuple[int, int]:
    n = draw(st.integers(1, 300) | st.sampled_from([5000, 100_000]))
    return draw(st.integers(0, n)), n


@given(counted(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_equals_that_of_scipy(case: tuple[int, int], confidence: float) -> None:
    hits, n = case
    expected = binomtest(hits, n).proportion_ci(confidence, method="exact")
    assert clopper_pearson(hits, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-8)


def test_all_of_few_is_not_sure_to_be_all() -> None:
    low, high = clopper_pearson(10, 10)
    # The rule of three, two-sided: 0.025 ** (1 / 10).
    assert (low, high) == (pytest.approx(0.6915, abs=1e-4), 1.0)
