"""How sure a share is that was counted on few photos."""

from __future__ import annotations

import math

import numpy as np

_HALVINGS = 60
"""So many shrink the interval from 0 to 1 below what a float tells apart."""


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of Clopper & Pearson (1934, Biometrika 26:404-413) for `hits` out of `n`, n 1 or more.

    At its lower end so many hits or more, at its upper end so few or fewer, come with a chance of (1 - confidence) / 2.
    """
    tail = (1 - confidence) / 2
    return _lower_end(hits, n, tail), 1 - _lower_end(n - hits, n, tail)


def _lower_end(hits: int, n: int, tail: float) -> float:
    """The share at which `hits` or more out of `n` come with the chance `tail`, by bisection: the chance rises with
    the share."""
    if hits == 0:
        return 0.0
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    counts = np.arange(hits, n + 1)
    log_ways = log_factorials[n] - log_factorials[counts] - log_factorials[n - counts]
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        chances = np.exp(log_ways + counts * math.log(share) + (n - counts) * math.log1p(-share))
        low, high = (share, high) if chances.sum() < tail else (low, share)
    return low
