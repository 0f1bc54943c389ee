"""Two models on the same photos: how far apart they are, and how sure that is.

The same photos make the answers of both models dependent; only the photos on which one is right and the other wrong say
which is better. Intervals and tests for independent samples would need many times the photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""97.5th percentile of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Paired:
    """A candidate against a baseline over `n` photos."""

    n: int
    candidate_only: int
    """Photos that the candidate alone gets right."""
    baseline_only: int
    """Photos that the baseline alone gets right."""
    delta_top1: float
    """Candidate's top-1 minus the baseline's, a fraction: -0.01 is one point worse."""
    ci95: tuple[float, float]
    """95 % confidence interval of `delta_top1`."""
    agreement: float
    """Fraction of photos for which both decide on the same class, right or wrong."""
    p_value: float
    """Exact McNemar test of "both are equally often right", two-sided."""


def compare(
    candidate_correct: NDArray[np.bool_],
    baseline_correct: NDArray[np.bool_],
    candidate_decisions: NDArray[Any],
    baseline_decisions: NDArray[Any],
) -> Paired:
    """Compares two models from `[n]` arrays over the same photos, n 1 or more; decisions are indices or names."""
    n = len(candidate_correct)
    if not n or {len(baseline_correct), len(candidate_decisions), len(baseline_decisions)} != {n}:
        raise ValueError("expected four arrays of one length, 1 or more")
    candidate_only = int(np.count_nonzero(candidate_correct & ~baseline_correct))
    baseline_only = int(np.count_nonzero(baseline_correct & ~candidate_correct))
    return Paired(
        n=n,
        candidate_only=candidate_only,
        baseline_only=baseline_only,
        delta_top1=(candidate_only - baseline_only) / n,
        ci95=difference_interval(candidate_only, baseline_only, n),
        agreement=float(np.mean(candidate_decisions == baseline_decisions)),
        p_value=mcnemar_exact(candidate_only, baseline_only),
    )


def paired_record(paired: Paired) -> dict[str, Any]:
    """The JSON object of `paired`."""
    return {
        "delta_top1": paired.delta_top1,
        "ci95": list(paired.ci95),
        "agreement": paired.agreement,
        "p_value": paired.p_value,
    }


def difference_interval(candidate_only: float, baseline_only: float, n: float) -> tuple[float, float]:
    """95 % interval of the difference of two paired proportions: the adjusted Wald interval of Bonett & Price (2012,
    Journal of Educational and Behavioral Statistics 37:479-488).

    One photo is added to either discordant count (Laplace), so the interval keeps its coverage for few photos, and has
    a width where the models never differ. Counts may be fractions, as when planning for photos not yet taken.
    """
    total = n + 2
    gain, loss = (candidate_only + 1) / total, (baseline_only + 1) / total
    margin = Z95 * math.sqrt((gain + loss - (gain - loss) ** 2) / total)
    return max(-1.0, gain - loss - margin), min(1.0, gain - loss + margin)


def mcnemar_exact(candidate_only: int, baseline_only: int) -> float:
    """Two-sided p-value of McNemar's test (1947, Psychometrika 12:153-157) in its exact form: under equal accuracy each
    discordant photo is a fair coin, so the smaller count is binomial(discordant, 1/2).

    Integers throughout, thus exact for any count; 1 where the models never differ.
    """
    discordant = candidate_only + baseline_only
    term = tail = 1
    for draw_uniform in range(min(candidate_only, baseline_only)):
        # The next binomial coefficient from this one; the division leaves no remainder.
        term = term * (discordant - draw_uniform) // (draw_uniform + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))
