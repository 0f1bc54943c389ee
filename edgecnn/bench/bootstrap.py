"""How sure a ratio of two medians is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MIN_TURNS = 8
"""Fewer turns say too little of how much turns differ."""
_RESAMPLES = 1000


class Ratio(NamedTuple):
    """The median of one series over that of another."""

    value: float
    ci95: tuple[float, float] | None
    """None where there were fewer than `MIN_TURNS` turns to tell it from."""


class Series(NamedTuple):
    """Samples in the order they were measured, `block` of them a turn."""

    samples: Sequence[float]
    block: int


def median_ratio(later: Series, first: Series, *, seed: int) -> Ratio:
    """The ratio of two medians, with a percentile bootstrap interval (Efron 1979).

    What is drawn again is whole turns: samples of a turn are alike, and to draw them singly would promise a certainty
    that they do not give (Künsch 1989, The Annals of Statistics 17:1217-1241). The interval speaks of these two runs;
    what a reboot or another day changes is not in it.
    """
    value = float(np.median(later.samples) / np.median(first.samples))
    turns = [_turns(later), _turns(first)]
    if min(map(len, turns)) < MIN_TURNS:
        return Ratio(value, None)
    random = np.random.default_rng(seed)
    above, below = (_medians(each, random) for each in turns)
    low, high = np.percentile(above / below, [2.5, 97.5])
    return Ratio(value, (float(low), float(high)))


def _turns(series: Series) -> NDArray[np.float64]:
    """`[turns, block]`; a turn that is not whole is left out."""
    whole = len(series.samples) // series.block * series.block
    return np.asarray(series.samples[:whole], np.float64).reshape(-1, series.block)


def _medians(turns: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """`[_RESAMPLES]` medians, each of as many turns as there are, drawn with replacement."""
    draw_uniform = random.integers(len(turns), size=(_RESAMPLES, len(turns)))
    return np.array([np.median(turns[each]) for each in draw_uniform])
