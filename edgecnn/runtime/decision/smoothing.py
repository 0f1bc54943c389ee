"""Averages over time that do not depend on the frame rate."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.runtime.decision.observation import Observation


def exponential(
    average: NDArray[np.float32], new: NDArray[np.float32], elapsed_ns: int, half_life_ns: int
) -> NDArray[np.float32]:
    """Exponential moving average of unevenly spaced vectors, `elapsed_ns` after the last; a convex combination.

    EMA_next of Eckner, "Algorithms for Unevenly Spaced Time Series": the new value counts as what there was since the
    last one, a^(t/h) with a = 1/2 of the average is kept. A signal's average does not depend on how often it is read.
    """
    kept = np.float32(0.5 ** (elapsed_ns / half_life_ns))
    return new + kept * (average - new)


class Vote(NamedTuple):
    """What one frame showed."""

    at_ns: int
    observation: Observation


def in_window(votes: tuple[Vote, ...], at_ns: int, window_ns: int) -> tuple[Vote, ...]:
    """The votes less than `window_ns` old, oldest first."""
    return tuple(vote for vote in votes if at_ns - vote.at_ns < window_ns)


def majority_vote(votes: tuple[Vote, ...], held: int | None) -> Observation:
    """What most of one or more votes are for, with the mean of their scores.

    Ties go to what is held, then to unknown, then to the lower index.
    """
    counts = Counter(vote.observation.index for vote in votes)
    index = max(counts, key=lambda candidate: (counts[candidate], candidate == held, -candidate))
    score = sum(vote.observation.score for vote in votes if vote.observation.index == index) / counts[index]
    return Observation(index, score)
