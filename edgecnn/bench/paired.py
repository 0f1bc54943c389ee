"""Statistics of two models on the same photos: their difference in accuracy and its uncertainty.

The same photos make the answers of both models dependent; only the photos on which one model is right and the other
wrong show which is better. Intervals and tests for independent samples would need many times the photos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.records.evaluation import PairedRecord

Z95 = 1.959963984540054
"""97.5th percentile of the normal distribution: two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Paired:
    """A candidate compared with a baseline over `n` photos."""

    n: int
    candidate_only: int
    """Number of photos that only the candidate gets right."""
    baseline_only: int
    """Number of photos that only the baseline gets right."""
    delta_top1: float
    """Top-1 of the candidate minus that of the baseline, a fraction: -0.01 is one point worse."""
    ci95: tuple[float, float]
    """95 % confidence interval of `delta_top1`."""
    agreement: float
    """Fraction of the photos for which both models decide on the same class, right or wrong."""
    p_value: float
    """Two-sided p-value of the exact McNemar test that both models are right equally often."""


def compare(
    candidate_correct: NDArray[np.bool_],
    baseline_correct: NDArray[np.bool_],
    candidate_decisions: NDArray[Any],
    baseline_decisions: NDArray[Any],
) -> Paired:
    """Compare two models over the same photos.

    Args:
        candidate_correct: `[n]`, True where the candidate is right; n at least 1.
        baseline_correct: `[n]`, True where the baseline is right.
        candidate_decisions: `[n]` class indices or names.
        baseline_decisions: `[n]` class indices or names.

    Returns:
        The comparison.

    Raises:
        ValueError: If the arrays are empty or differ in length.
    """
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


def paired_record(paired: Paired) -> PairedRecord:
    """Return the JSON object of a comparison.

    Args:
        paired: A comparison of two models.

    Returns:
        The record.
    """
    return PairedRecord(
        delta_top1=paired.delta_top1, ci95=paired.ci95, agreement=paired.agreement, p_value=paired.p_value
    )


def difference_interval(candidate_only: float, baseline_only: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two paired proportions.

    This is the adjusted Wald interval of Bonett & Price (2012, Journal of Educational and Behavioral Statistics
    37:479-488). One photo is added to each discordant count (Laplace), so the interval keeps its coverage for few
    photos and has a width even if the models never differ.

    Args:
        candidate_only: Number of photos that only the candidate gets right; may be a fraction when planning for photos
            that do not exist yet.
        baseline_only: Number of photos that only the baseline gets right, likewise.
        n: Number of photos, likewise.

    Returns:
        Lower and upper bound, fractions from -1 to 1.
    """
    total = n + 2
    gain, loss = (candidate_only + 1) / total, (baseline_only + 1) / total
    margin = Z95 * math.sqrt((gain + loss - (gain - loss) ** 2) / total)
    return max(-1.0, gain - loss - margin), min(1.0, gain - loss + margin)


def mcnemar_exact(candidate_only: int, baseline_only: int) -> float:
    """Return the two-sided p-value of McNemar's test (1947, Psychometrika 12:153-157) in its exact form.

    Under equal accuracy each discordant photo is a fair coin, so the smaller count is binomial(discordant, 1/2). The
    computation uses integers throughout and is therefore exact for any count.

    Args:
        candidate_only: Number of photos that only the candidate gets right.
        baseline_only: Number of photos that only the baseline gets right.

    Returns:
        The p-value; 1 if the models never differ.
    """
    discordant = candidate_only + baseline_only
    term = tail = 1
    for hits in range(min(candidate_only, baseline_only)):
        # The next binomial coefficient from this one; the division leaves no remainder.
        term = term * (discordant - hits) // (hits + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << discordant))
