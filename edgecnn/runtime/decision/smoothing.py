"""Averages and votes over time that do not depend on the frame rate."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.runtime.decision.observation import Observation


def exponential(
    average: NDArray[np.float32], new: NDArray[np.float32], elapsed_ns: int, half_life_ns: int
) -> NDArray[np.float32]:
    """Update an exponential moving average of unevenly spaced vectors.

    This is EMA_next of Eckner, "Algorithms for Unevenly Spaced Time Series". The new value is assumed for the whole
    time since the last one, and a share a^(t/h) with a = 1/2 of the average is kept. The average of a signal therefore
    does not depend on how often it is sampled.

    Args:
        average: `[classes]` float32 average up to the last frame.
        new: `[classes]` float32 values of this frame.
        elapsed_ns: Time since the last frame in nanoseconds.
        half_life_ns: Time after which half of the average is kept, in nanoseconds.

    Returns:
        The updated `[classes]` float32 average, a convex combination of `average` and `new`.
    """
    kept = np.float32(0.5 ** (elapsed_ns / half_life_ns))
    return new + kept * (average - new)


class Vote(NamedTuple):
    """The observation in one frame and its time."""

    at_ns: int
    observation: Observation


def in_window(votes: tuple[Vote, ...], at_ns: int, window_ns: int) -> tuple[Vote, ...]:
    """Select the recent votes.

    Args:
        votes: Votes, oldest first.
        at_ns: Monotonic time of the current frame in nanoseconds.
        window_ns: Length of the window in nanoseconds.

    Returns:
        The votes that are less than `window_ns` old, oldest first.
    """
    return tuple(vote for vote in votes if at_ns - vote.at_ns < window_ns)


def majority_vote(votes: tuple[Vote, ...], current: int | None) -> Observation:
    """Return the class with the most votes.

    Ties go to the current class, then to `UNKNOWN`, then to the lower index.

    Args:
        votes: One or more votes.
        current: Index of the current class, `UNKNOWN`, or None if there is none.

    Returns:
        The winner and the mean of its scores.
    """
    counts = Counter(vote.observation.index for vote in votes)
    index = max(counts, key=lambda candidate: (counts[candidate], candidate == current, -candidate))
    score = sum(vote.observation.score for vote in votes if vote.observation.index == index) / counts[index]
    return Observation(index, score)
