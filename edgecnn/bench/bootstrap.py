"""Confidence intervals for the ratio of two medians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_TURNS = 8
"""Minimum number of turns for an interval; fewer say too little about how much turns differ."""
_RESAMPLES = 1000


class Ratio(NamedTuple):
    """The median of one series over that of another."""

    value: float
    ci95: tuple[float, float] | None
    """None if a series has fewer than `MIN_TURNS` turns."""


class Series(NamedTuple):
    """Samples in the order they were measured, `block` samples per turn."""

    samples: Sequence[float]
    block: int


def median_ratio(later: Series, first: Series, *, seed: int) -> Ratio:
    """Return the ratio of two medians with a percentile bootstrap interval (Efron 1979).

    The bootstrap resamples whole turns: samples of one turn are alike, and resampling them individually would promise a
    certainty that they do not provide (Künsch 1989, The Annals of Statistics 17:1217-1241). The interval describes
    these two runs; it does not include what a reboot or another day changes.

    Args:
        later: Samples of the numerator.
        first: Samples of the denominator.
        seed: Seed of the resampling.

    Returns:
        The ratio and its interval.
    """
    value = float(np.median(later.samples) / np.median(first.samples))
    turns = [_turns(later), _turns(first)]
    if min(map(len, turns)) < MIN_TURNS:
        return Ratio(value, None)
    random = np.random.default_rng(seed)
    numerators, denominators = (_medians(each, random) for each in turns)
    low, high = np.percentile(numerators / denominators, [2.5, 97.5])
    return Ratio(value, (float(low), float(high)))


def _turns(series: Series) -> NDArray[np.float64]:
    """Return `[turns, block]` samples without an incomplete last turn."""
    complete = len(series.samples) // series.block * series.block
    return np.asarray(series.samples[:complete], np.float64).reshape(-1, series.block)


def _medians(turns: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return `[_RESAMPLES]` medians, each of as many turns as there are, drawn with replacement."""
    draws = random.integers(len(turns), size=(_RESAMPLES, len(turns)))
    return np.array([np.median(turns[draw]) for draw in draws])
