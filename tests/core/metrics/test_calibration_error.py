from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from edgecnn.core.metrics.calibration_error import BINS, Bin, reliability

Answers = tuple[NDArray[np.float32], NDArray[np.intp]]


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Generate softmax outputs, from undecided to certain, and truths that correlate with them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, classes = draw(st.integers(1, 60)), draw(st.integers(2, 6))
    logits = random.normal(0, draw(st.sampled_from([0.1, 2.0, 8.0])), (n, classes))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    truth = np.where(random.random(n) < 0.5, probabilities.argmax(axis=1), random.integers(0, classes, n))
    return probabilities.astype(np.float32), truth.astype(np.intp)


@given(answers())
def test_bins_and_gaps_match_scikit_learn(case: Answers) -> None:
    probabilities, truth = case
    result = reliability(*case)
    assert result is not None
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth
    accuracies, confidences = calibration_curve(right, confidence, n_bins=BINS)
    assert np.allclose([each.accuracy for each in result.bins], accuracies)
    assert np.allclose([each.confidence for each in result.bins], confidences)
    gaps = np.abs(accuracies - confidences)
    shares = np.array([each.n for each in result.bins]) / len(truth)
    assert sum(each.n for each in result.bins) == len(truth)
    assert result.ece == pytest.approx((gaps * shares).sum())
    assert result.mce == pytest.approx(gaps.max())


@given(answers())
def test_brier_score_matches_scikit_learn(case: Answers) -> None:
    probabilities, truth = case
    result = reliability(*case)
    assert result is not None
    classes = probabilities.shape[1]
    shares = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    expected = (
        2 * brier_score_loss(truth, shares[:, 1], pos_label=1, labels=[0, 1])
        if classes == 2
        else brier_score_loss(truth, shares, labels=range(classes), scale_by_half=False)
    )
    assert result.brier == pytest.approx(expected, abs=1e-5)


def test_certainty_that_is_wrong_half_of_the_time_has_an_error_of_one_half() -> None:
    result = reliability(np.array([[1, 0], [1, 0]], np.float32), np.array([0, 1]))
    assert result is not None
    assert (result.ece, result.mce, result.brier) == (0.5, 0.5, 1.0)


def test_confidence_equal_to_accuracy_is_calibrated() -> None:
    result = reliability(np.full((4, 2), (0.75, 0.25), np.float32), np.array([0, 0, 0, 1]))
    assert result is not None
    assert (result.ece, result.mce) == (0, 0)
    assert result.bins == (Bin(n=4, confidence=0.75, accuracy=0.75),)


def test_an_edge_belongs_to_the_lower_bin() -> None:
    result = reliability(np.array([[0.8, 0.2], [0.81, 0.19]]), np.array([0, 0]))  # type: ignore[arg-type]
    assert result is not None and [each.n for each in result.bins] == [1, 1]


@pytest.mark.parametrize("outputs", [(7.0, -3.0), (1.1, 0.0), (0.5, -0.1)])
def test_outputs_that_are_not_probabilities_have_no_reliability(outputs: tuple[float, float]) -> None:
    assert reliability(np.array([outputs], np.float32), np.array([0])) is None
