from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import append_associated_files, read_model_file
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.threshold import Threshold, decided, ranked, threshold_of
from tests.pixel_model import SCALE, ZERO_POINT, pixel_card, pixel_model, with_threshold

Scores = NDArray[np.float32]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Scores, Threshold]:
    """Draw probabilities of at least two classes with few distinct values, so that ties occur, and a threshold."""
    levels = draw(st.lists(st.integers(0, 8), min_size=2, max_size=6))
    threshold = Threshold(draw(st.integers(0, len(levels) - 1)), draw(st.integers(1, 8)) / 8)
    return np.array(levels, np.float32) / 8, threshold


@given(cases())
def test_the_watched_class_is_decided_on_at_its_threshold_and_otherwise_the_best_of_the_others(
    case: tuple[Scores, Threshold],
) -> None:
    scores, (watched, minimum) = case
    others = [index for index in range(len(scores)) if index != watched]
    best_other = max(others, key=lambda index: (scores[index], -index))
    assert decided(scores, Threshold(watched, minimum)) == (watched if scores[watched] >= minimum else best_other)


@given(cases())
def test_the_best_class_is_decided_on_without_a_threshold(case: tuple[Scores, Threshold]) -> None:
    scores, _ = case
    assert decided(scores, None) == ranked(scores, 1, None)[0] == scores.argmax()


@given(cases(), st.integers(1, 6))
def test_the_decided_class_is_ranked_first_and_the_others_by_score(case: tuple[Scores, Threshold], count: int) -> None:
    scores, threshold = case
    first, *others = ranked(scores, count, threshold).tolist()
    assert first == decided(scores, threshold)
    expected = sorted(set(range(len(scores))) - {first}, key=lambda index: (-scores[index], index))
    assert others == expected[: count - 1]


@pytest.fixture(scope="module", params=["uint8", "int8", "float32"])
def watching(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A classifier that decides on green at a score of 0.25 or more, which is a byte of 144."""
    path = tmp_path_factory.mktemp("models") / "colors.tflite"
    card = with_threshold(pixel_card(1, 1, ("red", "green", "blue")), "green", 0.25)
    path.write_bytes(append_associated_files(pixel_model(1, 1, request.param), card))
    return Classifier(read_model_file(path))


@given(pixel=st.tuples(*[st.integers(0, 255)] * 3))
def test_a_classifier_ranks_with_the_threshold_of_its_file(pixel: tuple[int, ...], watching: Classifier) -> None:
    top = watching.classify(np.array([[pixel]], np.uint8)).top
    assert top[0].label == ("green" if pixel[1] >= 144 else "red" if pixel[0] >= pixel[2] else "blue")
    # Scores are still the probabilities of the classes, and none is missing.
    assert {score.index: score.score for score in top} == {
        index: (value - ZERO_POINT) * SCALE for index, value in enumerate(pixel)
    }
    assert top[0].index == decided(watching.last_probabilities(), watching.threshold)


def test_other_labels_do_not_move_the_threshold(watching: Classifier) -> None:
    translated = Classifier(replace(watching.model, labels=LabelMap(("rouge", "vert", "bleu"))))
    assert translated.classify(np.array([[[255, 144, 0]]], np.uint8)).best.label == "vert"


def test_a_file_without_a_card_or_threshold_has_none(tmp_path: Path) -> None:
    assert threshold_of(None) is None
    assert threshold_of(pixel_card(1, 1)) is None
