"""ROC curves: how well scores separate one class from the rest, at every possible threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 64
"""Maximum number of points of a curve; a chart cannot show more."""


class RocPoint(NamedTuple):
    """The effect of one threshold."""

    false_positive_rate: float
    """Fraction of the other photos that are taken for the class."""
    true_positive_rate: float
    """Fraction of the photos of the class that are taken for it."""


def binary_auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve.

    This is the probability that a positive scores higher than a negative, ties counting half, and equals the
    Mann-Whitney U statistic over the number of pairs (Hanley & McNeil 1982, Radiology 143:29-36). Quantized
    probabilities tie often: tied scores share the mean of their ranks.

    Args:
        scores: `[n]` scores of the class.
        positive: `[n]`, True for photos of the class; must contain both values.

    Returns:
        A fraction from 0 to 1.
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    positives = int(np.count_nonzero(positive))
    negatives = len(scores) - positives
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def roc_curve(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> tuple[RocPoint, ...]:
    """Return the ROC curve from (0, 0) to (1, 1).

    There is a point for every score that occurs, except those on a straight line between their neighbors. If more than
    `MAX_POINTS` remain, a subset that lies about evenly along the curve is retained.

    Args:
        scores: `[n]` scores of the class.
        positive: `[n]`, True for photos of the class; must contain both values.

    Returns:
        At most `MAX_POINTS` points.
    """
    _, group = np.unique(-scores, return_inverse=True)
    hits = np.concatenate(([0], np.cumsum(np.bincount(group, positive))))
    false_alarms = np.concatenate(([0], np.cumsum(np.bincount(group, ~positive))))
    kept = _thinned(*_corners(false_alarms, hits))
    return tuple(RocPoint(float(x), float(y)) for x, y in zip(*kept, strict=True))


_Steps = NDArray[np.float64]


def _corners(false_alarms: _Steps, hits: _Steps) -> tuple[_Steps, _Steps]:
    """Return the points at which the direction changes, as fractions of the last point."""
    right, up = np.diff(false_alarms), np.diff(hits)
    turns = np.concatenate(([True], right[:-1] * up[1:] != right[1:] * up[:-1], [True]))
    return false_alarms[turns] / false_alarms[-1], hits[turns] / hits[-1]


def _thinned(x: _Steps, y: _Steps) -> tuple[_Steps, _Steps]:
    if len(x) <= MAX_POINTS:
        return x, y
    # Neither coordinate ever decreases, so their sum is the distance along the curve, measured in steps.
    kept = np.unique(np.searchsorted(x + y, np.linspace(0, 2, MAX_POINTS)))
    return x[kept], y[kept]
