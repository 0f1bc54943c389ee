from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from edgecnn.bench.paired import compare, difference_interval, mcnemar_exact, paired_record

counts = st.integers(0, 60)


def test_a_worked_example() -> None:
    # 100 photos: only the candidate gets 2 right, only the baseline gets 9 right; calculated by hand from the formula.
    low, high = difference_interval(2, 9, 100)
    gain, loss = 3 / 102, 10 / 102
    margin = 1.959964 * ((gain + loss - (gain - loss) ** 2) / 102) ** 0.5
    assert (low, high) == pytest.approx((gain - loss - margin, gain - loss + margin), abs=1e-6)
    assert (low, high) == pytest.approx((-0.1366, -0.0006), abs=1e-4)


@given(counts, counts, st.integers(0, 500))
def test_swapping_the_models_mirrors_the_interval(gain: int, loss: int, same: int) -> None:
    n = gain + loss + same + 1
    low, high = difference_interval(gain, loss, n)
    assert -1 <= low < high <= 1
    assert difference_interval(loss, gain, n) == pytest.approx((-high, -low))


@given(counts, counts)
def test_the_interval_narrows_with_more_photos(gain: int, loss: int) -> None:
    n = gain + loss + 1
    low, high = difference_interval(gain, loss, n)
    more_low, more_high = difference_interval(4 * gain, 4 * loss, 4 * n)
    assert more_high - more_low < high - low


def test_models_that_never_differ_still_have_an_interval() -> None:
    low, high = difference_interval(0, 0, 50)
    assert low < 0 < high


def test_the_interval_covers_the_true_difference_about_95_times_in_100() -> None:
    random = np.random.default_rng(7)
    gain, loss, n = 0.03, 0.06, 200
    draws = random.multinomial(n, [gain, loss, 1 - gain - loss], size=4000)
    intervals = np.array([difference_interval(draw[0], draw[1], n) for draw in draws])
    covered = np.mean((intervals[:, 0] <= gain - loss) & (gain - loss <= intervals[:, 1]))
    assert 0.93 < covered < 0.98


@given(counts, counts)
def test_the_p_value_matches_the_binomial_test(gain: int, loss: int) -> None:
    expected = binomtest(gain, gain + loss).pvalue if gain + loss else 1.0
    assert mcnemar_exact(gain, loss) == pytest.approx(expected)


def test_the_p_value_is_exact_for_thousands_of_photos() -> None:
    exact = Fraction(2 * sum(comb(5000, hits) for hits in range(2401)), 2**5000)
    assert mcnemar_exact(2400, 2600) == float(exact)


def test_a_comparison_counts_photos_that_only_one_model_gets_right() -> None:
    candidate = np.array([True, True, False, False, True])
    baseline = np.array([True, False, True, True, True])
    paired = compare(candidate, baseline, np.array(list("aabca")), np.array(list("abcda")))
    assert (paired.candidate_only, paired.baseline_only, paired.n) == (1, 2, 5)
    assert paired.delta_top1 == pytest.approx(-0.2)
    assert paired.agreement == pytest.approx(0.4)
    assert paired.p_value == 1.0


def test_the_record_has_the_printed_keys() -> None:
    right = np.array([True])
    record = paired_record(compare(right, right, np.array([3]), np.array([3]))).to_json()
    assert list(record) == ["delta_top1", "ci95", "agreement", "p_value"]
    assert isinstance(record["ci95"], list)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        compare(np.array([True]), np.array([True, False]), np.array([1]), np.array([1, 2]))
