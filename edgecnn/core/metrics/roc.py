"""How well scores tell one class from the rest, at every threshold there is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 64
"""More than a chart shows."""


class RocPoint(NamedTuple):
    """What a threshold gives: the share of the other photos that it takes for the class, and of its own."""

    false_positive_rate: float
    true_positive_rate: float


def binary_auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from `scores [n]` and `positive [n]`, which must hold both values.

    It is the chance that a positive scores higher than a negative, ties counting half, which is the Mann-Whitney U
    statistic over the number of pairs (Hanley & McNeil 1982, Radiology 143:29-36). Quantized probabilities tie often:
    tied scores share the mean of their ranks.
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    positives = int(np.count_nonzero(positive))
    negatives = len(scores) - positives
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def roc_curve(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> tuple[RocPoint, ...]:
    """The ROC curve of `scores [n]` from (0, 0) to (1, 1); `positive [n]` must hold both values.

    A point for every score that occurs, without those on a straight line between their neighbors. Of more than
    `MAX_POINTS`, those are kept that lie about evenly along the curve.
    """
    _, group = np.unique(-scores, return_inverse=True)
    hits = np.concatenate(([0], np.cumsum(np.bincount(group, positive))))
    misses = np.concatenate(([0], np.cumsum(np.bincount(group, ~positive))))
    kept = _thinned(*_corners(misses, hits))
    return tuple(RocPoint(float(x), float(y)) for x, y in zip(*kept, strict=True))


_Steps = NDArray[np.float64]


def _corners(misses: _Steps, hits: _Steps) -> tuple[_Steps, _Steps]:
    """Both as shares of their last, where the direction changes."""
    right, up = np.diff(misses), np.diff(hits)
    turns = np.concatenate(([True], right[:-1] * up[1:] != right[1:] * up[:-1], [True]))
    return misses[turns] / misses[-1], hits[turns] / hits[-1]


def _thinned(x: _Steps, y: _Steps) -> tuple[_Steps, _Steps]:
    if len(x) <= MAX_POINTS:
        return x, y
    # Neither ever falls, so their sum is the way along the curve, counted in steps.
    kept = np.unique(np.searchsorted(x + y, np.linspace(0, 2, MAX_POINTS)))
    return x[kept], y[kept]
