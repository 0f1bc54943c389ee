from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, roc_auc_score

from edgecnn.bench.metrics import accuracy_metrics, binary_auc, macro_auc, metrics_record, rank_of_truth
from edgecnn.core.labels import LabelMap


def _labels(classes: int) -> LabelMap:
    return LabelMap(tuple(f"class {index}" for index in range(classes)))


@st.composite
def answers(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Probabilities on few levels, so that they tie as quantised ones do, and truths that leave classes out."""
    classes = draw(st.integers(2, 7))
    n = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 4, 256]))
    probabilities = (random.integers(0, levels, (n, classes)) / levels).astype(np.float32)
    return probabilities, random.integers(0, draw(st.integers(1, classes)), n).astype(np.intp)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(answers())
def test_metrics_equal_those_of_scikit_learn(case: tuple[NDArray[np.float32], NDArray[np.intp]]) -> None:
    probabilities, truth = case
    decisions = probabilities.argmax(axis=1)
    metrics = accuracy_metrics(probabilities, truth, _labels(probabilities.shape[1]))

    seen = sorted({*truth, *decisions})
    assert metrics.top1 == pytest.approx(np.mean(decisions == truth))
    assert metrics.macro_f1 == pytest.approx(f1_score(truth, decisions, average="macro", labels=seen, zero_division=0))
    assert np.array_equal(metrics.confusion, confusion_matrix(truth, decisions, labels=seen))
    expected = np.transpose(precision_recall_fscore_support(truth, decisions, labels=seen, zero_division=0))
    assert [entry.label for entry in metrics.per_class] == [f"class {index}" for index in seen]
    assert np.allclose([entry[1:] for entry in metrics.per_class], expected)


@given(answers())
def test_auc_equals_that_of_scikit_learn_class_by_class(case: tuple[NDArray[np.float32], NDArray[np.intp]]) -> None:
    probabilities, truth = case
    present = np.unique(truth)
    if len(present) < 2:
        assert macro_auc(probabilities, truth) is None
    else:
        expected = [roc_auc_score(truth == index, probabilities[:, index]) for index in present]
        assert macro_auc(probabilities, truth) == pytest.approx(np.mean(expected))


@given(answers())
def test_auc_is_the_share_of_pairs_in_the_right_order(case: tuple[NDArray[np.float32], NDArray[np.intp]]) -> None:
    probabilities, truth = case
    positive, scores = truth == truth[0], probabilities[:, 0]
    if positive.all():
        return
    difference = scores[positive][:, None] - scores[~positive][None, :]
    assert binary_auc(scores, positive) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


def test_binary_auc_is_the_same_for_both_classes() -> None:
    positive = np.array([0.9, 0.6, 0.6, 0.1], np.float32)
    truth = np.array([1, 1, 0, 0])
    both = macro_auc(np.stack([1 - positive, positive], axis=1), truth)
    assert both == pytest.approx(roc_auc_score(truth, positive)) == 0.875


def test_ties_go_to_the_lower_index() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], np.float32)
    assert rank_of_truth(probabilities, np.array([0, 1])).tolist() == [0, 1]
    assert accuracy_metrics(probabilities, np.array([0, 1]), _labels(3)).top1 == 0.5


def test_top5_counts_the_five_best_and_is_1_below_six_classes() -> None:
    probabilities = np.array([[0.3, 0.25, 0.2, 0.1, 0.08, 0.07]] * 2, np.float32)
    assert accuracy_metrics(probabilities, np.array([4, 5]), _labels(6)).top5 == 0.5
    assert accuracy_metrics(probabilities[:, :4], np.array([3, 2]), _labels(4)).top5 == 1.0


def test_classes_that_no_photo_shows_or_gets_are_left_out() -> None:
    probabilities = np.zeros((2, 1001), np.float32)
    probabilities[[0, 1], [7, 900]] = 1
    metrics = accuracy_metrics(probabilities, np.array([7, 8]), _labels(1001))
    assert [entry.label for entry in metrics.per_class] == ["class 7", "class 8", "class 900"]
    assert metrics.confusion == ((1, 0, 0), (0, 0, 1), (0, 0, 0))


def test_the_record_has_the_printed_keys() -> None:
    record = metrics_record(accuracy_metrics(np.eye(3, dtype=np.float32), np.arange(3), _labels(3)))
    assert list(record) == ["n", "top1", "top5", "macro_f1", "auc_roc", "per_class", "confusion"]
    assert record["per_class"][0] == {"label": "class 0", "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert record["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_nan_is_refused_rather_than_counted_as_right() -> None:
    with pytest.raises(ValueError, match="finite"):
        accuracy_metrics(np.full((1, 2), np.nan, np.float32), np.array([1]), _labels(2))


def test_no_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        accuracy_metrics(np.empty((0, 2), np.float32), np.empty(0, np.intp), _labels(2))
