from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import MAX_CURVES, accuracy_metrics, rank_of_truth

Answers = tuple[NDArray[np.float32], NDArray[np.intp]]


def _labels(classes: int) -> LabelMap:
    return LabelMap(tuple(f"class {index}" for index in range(classes)))


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    """Generate probabilities on few levels, which tie as quantized ones do, and truths that omit some classes."""
    classes = draw(st.integers(2, 7))
    n = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 4, 256]))
    probabilities = (random.integers(0, levels, (n, classes)) / levels).astype(np.float32)
    return probabilities, random.integers(0, draw(st.integers(1, classes)), n).astype(np.intp)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(answers(), st.booleans())
def test_metrics_match_scikit_learn(case: Answers, by_threshold: bool) -> None:
    probabilities, truth = case
    decisions = np.where(probabilities[:, 1] >= 0.25, 1, 0) if by_threshold else probabilities.argmax(axis=1)
    labels = _labels(probabilities.shape[1])
    metrics = accuracy_metrics(probabilities, truth, labels, decisions if by_threshold else None)

    seen = sorted({*truth, *decisions})
    assert metrics.top1 == pytest.approx(np.mean(decisions == truth))
    assert np.array_equal(metrics.confusion, confusion_matrix(truth, decisions, labels=seen))
    expected = np.transpose(precision_recall_fscore_support(truth, decisions, labels=seen, zero_division=0))
    assert [entry.label for entry in metrics.per_class] == [f"class {index}" for index in seen]
    assert np.allclose(
        [(entry.precision, entry.recall, entry.f1, entry.support) for entry in metrics.per_class], expected
    )
    for average in ("macro", "weighted"):
        means = precision_recall_fscore_support(truth, decisions, labels=seen, average=average, zero_division=0)
        assert np.allclose(getattr(metrics, average), means[:3])


@given(answers())
def test_auc_of_each_class_matches_scikit_learn(case: Answers) -> None:
    probabilities, truth = case
    metrics = accuracy_metrics(probabilities, truth, _labels(probabilities.shape[1]))
    areas = {entry.label: entry.auc_roc for entry in metrics.per_class if entry.auc_roc is not None}
    present = np.unique(truth) if len(np.unique(truth)) > 1 else []
    expected = {f"class {index}": roc_auc_score(truth == index, probabilities[:, index]) for index in present}
    assert areas == pytest.approx(expected)
    assert metrics.auc_roc == (pytest.approx(np.mean(list(expected.values()))) if expected else None)


@given(answers())
def test_rank_without_a_threshold_is_the_position_in_the_sorted_scores(case: Answers) -> None:
    probabilities, truth = case
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = rank_of_truth(probabilities, truth, probabilities.argmax(axis=1))
    assert ranks.tolist() == np.argmax(order == truth[:, None], axis=1).tolist()


def test_the_decided_class_ranks_first_and_the_others_follow_by_score() -> None:
    probabilities = np.array([[0.5, 0.3, 0.15, 0.05]] * 4, np.float32)
    assert rank_of_truth(probabilities, np.arange(4), np.full(4, 2)).tolist() == [1, 2, 0, 3]


def test_a_decision_against_the_best_class_changes_only_metrics_of_decisions() -> None:
    probabilities = np.array([[0.7, 0.3], [0.9, 0.1]], np.float32)
    truth = np.array([1, 0])
    before, after = (
        accuracy_metrics(probabilities, truth, _labels(2), decisions) for decisions in (None, np.array([1, 0]))
    )
    assert (before.top1, after.top1) == (0.5, 1.0)
    assert (before.confusion, after.confusion) == (((1, 0), (1, 0)), ((1, 0), (0, 1)))
    assert (before.auc_roc, before.reliability, before.roc) == (after.auc_roc, after.reliability, after.roc)


def test_binary_auc_is_the_same_for_both_classes() -> None:
    positive = np.array([0.9, 0.6, 0.6, 0.1], np.float32)
    truth = np.array([1, 1, 0, 0])
    both = accuracy_metrics(np.stack([1 - positive, positive], axis=1), truth, _labels(2)).per_class
    assert [entry.auc_roc for entry in both] == pytest.approx([0.875, 0.875])
    assert roc_auc_score(truth, positive) == 0.875


def test_ties_are_decided_in_favor_of_the_lower_index() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], np.float32)
    assert rank_of_truth(probabilities, np.array([0, 1]), np.zeros(2, np.intp)).tolist() == [0, 1]
    assert accuracy_metrics(probabilities, np.array([0, 1]), _labels(3)).top1 == 0.5


def test_top5_counts_the_five_best_and_is_1_below_six_classes() -> None:
    probabilities = np.array([[0.3, 0.25, 0.2, 0.1, 0.08, 0.07]] * 2, np.float32)
    assert accuracy_metrics(probabilities, np.array([4, 5]), _labels(6)).top5 == 0.5
    assert accuracy_metrics(probabilities[:, :4], np.array([3, 2]), _labels(4)).top5 == 1.0


def test_classes_without_photos_and_decisions_are_omitted() -> None:
    probabilities = np.zeros((2, 1001), np.float32)
    probabilities[[0, 1], [7, 900]] = 1
    metrics = accuracy_metrics(probabilities, np.array([7, 8]), _labels(1001))
    assert [entry.label for entry in metrics.per_class] == ["class 7", "class 8", "class 900"]
    assert metrics.confusion == ((1, 0, 0), (0, 0, 1), (0, 0, 0))


def test_many_classes_have_no_curves() -> None:
    classes = MAX_CURVES + 1
    metrics = accuracy_metrics(np.eye(classes, dtype=np.float32), np.arange(classes), _labels(classes))
    assert metrics.roc is None and metrics.auc_roc == 1.0


def test_nan_is_refused_instead_of_counting_as_a_hit() -> None:
    with pytest.raises(ValueError, match="finite"):
        accuracy_metrics(np.full((1, 2), np.nan, np.float32), np.array([1]), _labels(2))


def test_an_empty_set_of_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        accuracy_metrics(np.empty((0, 2), np.float32), np.empty(0, np.intp), _labels(2))
