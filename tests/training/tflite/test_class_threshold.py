from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import precision_score, recall_score

from edgecnn.core.dataset import VALIDATION, Dataset, scan_dataset
from edgecnn.core.errors import DataError, ExportError, UnknownName
from edgecnn.core.settings.min_recall import MinRecall
from edgecnn.runtime.inference.threshold import Threshold, decided
from edgecnn.training.tflite.class_threshold import check_min_recall, pick_threshold

WATCHED = 1


@st.composite
def answers(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Draw probabilities of two or three classes, and the true classes.

    The probabilities have 256 levels as in an int8 file, or the resolution of float32. No class scores 0, and at least
    one photo shows the watched class.
    """
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, classes = draw(st.integers(1, 50)), draw(st.integers(2, 3))
    probabilities = random.dirichlet(np.full(classes, draw(st.sampled_from([0.3, 1.0]))), n)
    if draw(st.booleans()):
        probabilities = np.round(probabilities * 256) / 256
    truth = random.integers(0, classes, n)
    truth[0] = WATCHED
    return np.maximum(probabilities, 1 / 256).astype(np.float32), truth.astype(np.intp)


recalls = st.floats(0.01, 1) | st.sampled_from([0.5, 0.9, 0.98, 1.0])


@given(answers(), recalls)
def test_the_threshold_is_the_largest_that_reaches_the_recall(
    case: tuple[NDArray[np.float32], NDArray[np.intp]], recall: float
) -> None:
    probabilities, truth = case
    picked = pick_threshold(probabilities, truth, WATCHED, MinRecall(label="fox", recall=recall))
    own = probabilities[truth == WATCHED, WATCHED]
    assert np.mean(own >= picked.threshold) == picked.recall >= recall
    assert np.mean(own > np.float32(picked.threshold)) < recall


@given(answers(), recalls)
def test_recall_and_precision_are_those_of_the_rule_on_the_photos(
    case: tuple[NDArray[np.float32], NDArray[np.intp]], recall: float
) -> None:
    probabilities, truth = case
    picked = pick_threshold(probabilities, truth, WATCHED, MinRecall(label="fox", recall=recall))
    rule = Threshold(WATCHED, picked.threshold)
    after = np.array([decided(row, rule) for row in probabilities]) == WATCHED
    before = probabilities.argmax(axis=1) == WATCHED
    shown = truth == WATCHED
    for decisions, recall_found, precision in (
        (before, picked.recall_before, picked.precision_before),
        (after, picked.recall, picked.precision),
    ):
        assert recall_found == pytest.approx(recall_score(shown, decisions))
        assert precision == pytest.approx(precision_score(shown, decisions, zero_division=0))
    assert picked.photos == shown.sum()


@pytest.mark.parametrize(
    ("hits", "photos", "low", "high"),
    [
        # All of n: the lower end solves p**n = 0.025. One of n: 1 - (1 - p)**n = 0.025.
        (10, 10, 0.025 ** (1 / 10), 1.0),
        (1, 1, 0.025, 1.0),
        (1, 10, 1 - 0.975 ** (1 / 10), 0.4450161),
        # Both binomial tails beyond these bounds have probability 0.025.
        (19, 20, 0.7512672, 0.9987349),
        (50, 100, 0.3983211, 0.6016789),
        (98, 100, 0.9296161, 0.9975686),
    ],
)
def test_the_interval_of_the_recall_is_clopper_and_pearsons(hits: int, photos: int, low: float, high: float) -> None:
    scores = np.linspace(0.9, 0.1, photos).astype(np.float32)
    probabilities = np.stack([1 - scores, scores], axis=1)
    request = MinRecall(label="fox", recall=hits / photos)
    picked = pick_threshold(probabilities, np.full(photos, WATCHED), WATCHED, request)
    assert picked.recall == hits / photos
    assert picked.recall_ci95 == pytest.approx((low, high), abs=1e-7)
    assert all(type(bound) is float for bound in picked.recall_ci95)


def test_nineteen_of_twenty_photos_are_enough_for_a_recall_of_095_but_not_for_more() -> None:
    scores = np.arange(1, 21) / 32
    probabilities = np.stack([1 - scores, scores], axis=1).astype(np.float32)
    truth = np.full(20, WATCHED)
    minimum = {
        recall: pick_threshold(probabilities, truth, WATCHED, MinRecall(label="fox", recall=recall)).threshold
        for recall in (0.95, 0.951, 0.05)
    }
    assert minimum == {0.95: 2 / 32, 0.951: 1 / 32, 0.05: 20 / 32}


def test_the_lower_end_of_the_interval_is_valid_for_new_photos() -> None:
    random = np.random.default_rng(5)
    request, missed = MinRecall(label="fox", recall=0.9), 0
    for _ in range(800):
        scores = random.random(40).astype(np.float32)
        picked = pick_threshold(np.stack([1 - scores, scores], axis=1), np.full(40, WATCHED), WATCHED, request)
        # If scores are uniform between 0 and 1, a fraction of 1 - t is at or above t.
        missed += 1 - picked.threshold < picked.recall_ci95[0]
    assert missed / 800 == pytest.approx(0.025, abs=0.01)


def test_a_recall_that_only_a_threshold_of_zero_reaches_is_rejected() -> None:
    probabilities = np.array([[0.2, 0.8], [1, 0], [0.9, 0.1], [0.9, 0.1]], np.float32)
    truth = np.array([1, 1, 1, 0])
    assert pick_threshold(probabilities, truth, 1, MinRecall(label="fox", recall=0.6)).recall == 2 / 3
    with pytest.raises(ExportError, match=r"recall of 0\.9 for 'fox' is out of reach: 0\.6667 of .* ask for less"):
        pick_threshold(probabilities, truth, 1, MinRecall(label="fox", recall=0.9))


def test_a_score_that_exceeds_one_in_its_last_bit_is_accepted() -> None:
    above = float(np.nextafter(np.float32(1), np.float32(2)))
    picked = pick_threshold(np.array([[0, above]], np.float32), np.array([1]), 1, MinRecall(label="fox", recall=1.0))
    assert (picked.threshold, picked.recall) == (1.0, 1.0)


def test_an_unknown_class_is_reported_with_the_known_ones(few_digits: Path) -> None:
    dataset = scan_dataset(few_digits)
    check_min_recall(MinRecall(label="2", recall=0.9), dataset)
    with pytest.raises(UnknownName, match="unknown class '3': known: 0, 1, 2"):
        check_min_recall(MinRecall(label="3", recall=0.9), dataset)


def test_a_class_without_validation_photos_is_rejected(few_digits: Path) -> None:
    dataset = scan_dataset(few_digits)
    others = tuple(example for example in dataset.splits[VALIDATION] if example.label != 2)
    without = Dataset(dataset.root, dataset.labels, {**dataset.splits, VALIDATION: others})
    with pytest.raises(
        DataError, match=r"expected validation photos of '2' to pick its threshold on, .* contains none"
    ):
        check_min_recall(MinRecall(label="2", recall=0.9), without)
