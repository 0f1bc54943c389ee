from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from edgecnn.core.metrics.calibration_error import BINS, reliability

Answers = tuple[NDArray[np.float32], NDArray[np.intp]]


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Softmax outputs, from undecided to certain, with truths that they know something of."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, classes = draw(st.integers(1, 60)), draw(st.integers(2, 6))
    logits = random.normal(0, draw(st.sampled_from([0.1, 2.0, 8.0])), (n, classes))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    truth = np.where(random.random(n) < 0.5, probabilities.argmax(axis=1), random.integers(0, classes, n))
    return probabilities.astype(np.float32), truth.astype(np.intp)


@given(answers())
def test_bins_and_gaps_equal_those_of_scikit_learn(case: Answers) -> None:
    probabilities, truth = case
    found = reliability(*case)
    assert found is not None
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth
    accuracies, confidences = calibration_curve(right, confidence, n_bins=BINS)
    assert np.allclose([each.accuracy for each in found.bins], accuracies)
    assert np.allclose([each.confidence for each in found.bins], confidences)
    gaps = np.abs(accuracies - confidences)
    shares = np.array([each.n for each in found.bins]) / len(truth)
    assert sum(each.n for each in found.bins) == len(truth)
    assert found.ece == pytest.approx((gaps * shares).sum())
    assert found.mce == pytest.approx(gaps.max())


@given(answers())
def test_the_brier_score_equals_that_of_scikit_learn(case: Answers) -> None:
    probabilities, truth = case
    found = reliability(*case)
    assert found is not None
    classes = probabilities.shape[1]
    shares = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    expected = (
        2 * brier_score_loss(truth, shares[:, 1], pos_label=1, labels=[0, 1])
        if classes == 2
        else brier_score_loss(truth, shares, labels=range(classes), scale_by_half=False)
    )
    assert found.brier == pytest.approx(expected, abs=1e-5)


def test_being_sure_and_wrong_half_of_the_time_is_a_gap_of_a_half() -> None:
    found = reliability(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    assert found is not None
    assert (found.ece, found.mce, found.brier) == (0.5, 0.5, 1.0)


def test_what_is_as_sure_as_it_is_often_right_is_calibrated() -> None:
    found = reliability(np.full((4, 2), (0.75, 0.25), np.float32), np.array([0, 0, 0, 1]))
    assert found is not None
    assert (found.ece, found.mce) == (0, 0)
    assert [tuple(each) for each in found.bins] == [(4, 0.75, 0.75)]


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    found = reliability(np.array([[0.8, 0.2], [0.81, 0.19]]), np.array([0, 0]))  # type: ignore[arg-type]
    assert found is not None and [each.n for each in found.bins] == [1, 1]


@pytest.mark.parametrize("outputs", [(7.0, -3.0), (1.1, 0.0), (0.5, -0.1)])
def test_outputs_that_are_no_probabilities_have_no_reliability(outputs: tuple[float, float]) -> None:
    assert reliability(np.array([outputs], np.float32), np.array([0])) is None
