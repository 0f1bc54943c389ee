from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as reference_curve

from edgecnn.core.metrics.roc import MAX_POINTS, binary_auc, roc_curve

Scored = tuple[NDArray[np.float32], NDArray[np.bool_]]


@st.composite
def scored(draw: st.DrawFn, max_photos: int = 40) -> Scored:
    """Generate scores on few or many levels, with at least one positive and one negative photo."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, max_photos))
    scores = (random.integers(0, draw(st.sampled_from([2, 4, 256, 10**6])), n) / 10**6).astype(np.float32)
    positive = random.random(n) < draw(st.floats(0.1, 0.9))
    positive[:2] = True, False
    return scores, positive


@given(scored())
def test_auc_is_the_fraction_of_correctly_ordered_pairs(case: Scored) -> None:
    scores, positive = case
    difference = scores[positive][:, None] - scores[~positive][None, :]
    assert binary_auc(scores, positive) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


@given(scored())
def test_corners_of_the_curve_match_scikit_learn(case: Scored) -> None:
    scores, positive = case
    expected = {(x, y) for x, y, _ in zip(*reference_curve(positive, scores, drop_intermediate=False), strict=True)}
    curve = roc_curve(scores, positive)
    assert all(any(np.allclose(point, each) for each in expected) for point in curve)
    assert (curve[0], curve[-1]) == ((0, 0), (1, 1))


@given(scored())
def test_area_under_the_curve_equals_the_auc(case: Scored) -> None:
    assert _area(roc_curve(*case)) == pytest.approx(binary_auc(*case)) == pytest.approx(roc_auc_score(*case[::-1]))


@given(scored(max_photos=2000))
def test_a_long_curve_is_thinned_and_keeps_its_shape(case: Scored) -> None:
    curve = roc_curve(*case)
    assert len(curve) <= MAX_POINTS
    assert (curve[0], curve[-1]) == ((0, 0), (1, 1))
    assert all(left.false_positive_rate <= right.false_positive_rate for left, right in pairwise(curve))
    assert all(left.true_positive_rate <= right.true_positive_rate for left, right in pairwise(curve))
    assert _area(curve) == pytest.approx(binary_auc(*case), abs=0.01)


def _area(curve: tuple[tuple[float, float], ...]) -> float:
    return sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(curve))
