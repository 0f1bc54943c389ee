from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.training.plots.mistakes import most_confident_mistakes, plot_mistakes

LABELS = LabelMap(("$a", "b$ with a name that is far too long for one line", "c"))


def sure_of(decisions: list[int], scores: list[float]) -> NDArray[np.float32]:
    """Return probabilities over three classes with the given score for each decision."""
    probabilities = np.repeat((1 - np.array(scores, np.float32)[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(len(decisions)), decisions] = scores
    return probabilities


def flat_photos(levels: list[int], channels: int) -> NDArray[np.uint8]:
    return np.repeat(np.array(levels, np.uint8), 20 * 20 * channels).reshape(-1, 20, 20, channels)


def shows(picture: Path, level: int) -> bool:
    """Return True if the picture contains a large patch of that gray, up to rounding."""
    decoded = cv2.imread(str(picture))
    assert decoded is not None
    return bool((np.abs(decoded.astype(int) - level) <= 2).all(axis=2).sum() > 5000)


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(0, 40), st.just(4)), elements=st.floats(0, 1, width=16)),
    st.integers(1, 10),
    st.randoms(use_true_random=False),
)
def test_no_omitted_mistake_has_a_higher_score(probabilities: NDArray[np.float32], limit: int, random: object) -> None:
    truth = np.array([random.randrange(4) for _ in probabilities], np.int64)  # type: ignore[attr-defined]
    mistakes = most_confident_mistakes(probabilities, truth, limit)
    decisions = probabilities.argmax(axis=1)
    wrong = [int(photo) for photo in np.flatnonzero(decisions != truth)]
    shown = [mistake.photo for mistake in mistakes]
    assert len(mistakes) == min(limit, len(wrong))
    assert [mistake.score for mistake in mistakes] == sorted((mistake.score for mistake in mistakes), reverse=True)
    for mistake in mistakes:
        assert (mistake.truth, mistake.decision) == (truth[mistake.photo], decisions[mistake.photo])
        assert mistake.decision != mistake.truth
    omitted = [probabilities[photo].max() for photo in wrong if photo not in shown]
    assert not omitted or max(omitted) <= mistakes[-1].score


def test_mistakes_of_equal_confidence_keep_their_order() -> None:
    probabilities = sure_of([1, 1, 1], [0.75, 0.75, 0.75])
    assert [mistake.photo for mistake in most_confident_mistakes(probabilities, np.zeros(3, np.int64))] == [0, 1, 2]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_shows_only_wrong_photos(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "mistakes.png"
    photos = flat_photos([60, 120, 180], channels)
    probabilities, truth = sure_of([0, 1, 2], [0.9, 0.8, 0.7]), np.array([0, 0, 1])
    names = ["a.png", "$b.png", "c" * 80 + "$.png"]
    plot_mistakes(photos, probabilities, truth, path, labels=LABELS, names=names)
    assert [shows(path, level) for level in (60, 120, 180)] == [False, True, True]


def test_the_24_most_confident_of_many_mistakes_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "mistakes.png"
    levels = list(range(10, 240, 7))[:30]
    probabilities = sure_of([1] * 30, [0.99 - 0.01 * number for number in range(30)])
    names = [f"{number}.png" for number in range(30)]
    plot_mistakes(flat_photos(levels, 1), probabilities, np.zeros(30, np.int64), path, labels=LABELS, names=names)
    assert [shows(path, level) for level in levels] == [True] * 24 + [False] * 6


def test_a_picture_without_mistakes_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "mistakes.png"
    photos, probabilities = flat_photos([60], 1), sure_of([1], [0.9])
    plot_mistakes(photos, probabilities, np.array([0]), path, labels=LABELS, names=["a.png"])
    assert shows(path, 60)
    plot_mistakes(photos, probabilities, np.array([1]), path, labels=LABELS, names=["a.png"])
    assert not shows(path, 60)
    decoded = cv2.imread(str(path))
    assert decoded is not None and decoded.std() > 1
