"""The accuracy gate: a check that a smaller model may replace a larger one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgecnn.bench.paired import Paired, difference_interval
from edgecnn.core.errors import GateFailed, GateUndecided, InputError
from edgecnn.core.records.evaluation import GateRecord


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a drop of at most `max_drop` percentage points of top-1."""

    max_drop: float
    passed: bool | None
    """None if there are too few photos to decide."""
    images_needed: int | None
    """For an undecided gate, about how many photos would decide it; None if no number would or the gate is decided."""
    message: str
    """The verdict in one line, with its figures."""


def decide_accuracy_gate(paired: Paired, max_drop: float) -> Gate:
    """Test non-inferiority with the 95 % interval of the difference in top-1.

    The gate passes if the whole interval is above the limit, fails if all of it is below, and is undecided if it
    straddles the limit: not having observed a significant drop is no evidence that there is none.

    Args:
        paired: The model compared with the baseline.
        max_drop: Largest drop of top-1 in percentage points.

    Returns:
        The verdict.

    Raises:
        InputError: If `max_drop` is not between 0 and 100.
    """
    check_max_drop(max_drop)
    limit = -max_drop / 100
    low, high = paired.ci95
    observed = (
        f"top-1 changes by {_points(paired.delta_top1)} points, 95% interval {_points(low)} to {_points(high)}, "
        f"on {paired.n} photos"
    )
    allowed = f"a drop of {max_drop:g} points"
    if low >= limit:
        return Gate(max_drop, True, None, f"passed: {observed}; {allowed} is allowed")
    if high < limit:
        return Gate(max_drop, False, None, f"failed: {observed}; expected {allowed} at most")
    needed = images_needed(paired, limit)
    return Gate(max_drop, None, needed, f"undecided: {observed}; {_advice(allowed, needed)}")


def check_max_drop(points: float) -> None:
    """Check the limit of a gate.

    Args:
        points: Largest drop in percentage points.

    Raises:
        InputError: If it is not a number from 0 to 100.
    """
    if not 0 <= points <= 100:
        raise InputError(f"expected a largest drop of 0 to 100 percentage points, such as 1.0, got {points:g}")


def enforce(gate: Gate) -> None:
    """Raise an error unless the gate passed.

    Args:
        gate: A decided or undecided gate.

    Raises:
        GateFailed: If it failed.
        GateUndecided: If there are too few photos.
    """
    if gate.passed is None:
        raise GateUndecided(gate.message)
    if not gate.passed:
        raise GateFailed(gate.message)


def gate_record(gate: Gate) -> GateRecord:
    """Return the JSON object of a gate.

    Args:
        gate: A decided or undecided gate.

    Returns:
        The record.
    """
    return GateRecord(max_drop=gate.max_drop, passed=gate.passed)


def images_needed(paired: Paired, limit: float) -> int | None:
    """Estimate how many photos would decide an undecided gate, if the models continue to differ at the observed rates.

    Args:
        paired: The model compared with the baseline.
        limit: Difference in top-1, a fraction.

    Returns:
        The smallest number of photos for which the interval lies on one side of the limit. None if the observed
        difference equals the limit: the interval narrows around it and never leaves it.
    """
    if math.isclose(paired.delta_top1, limit, rel_tol=1e-9, abs_tol=1e-12):
        return None
    enough = paired.n
    while not _decides(paired, enough, limit):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if _decides(paired, middle, limit) else (middle, enough)
    return enough


def _decides(paired: Paired, n: int, limit: float) -> bool:
    scale = n / paired.n
    low, high = difference_interval(paired.candidate_only * scale, paired.baseline_only * scale, n)
    return low >= limit if paired.delta_top1 > limit else high < limit


def _advice(allowed: str, needed: int | None) -> str:
    if needed is None:
        return f"it is exactly {allowed}, so no number of photos would decide; allow more, or improve the model"
    return f"too few to decide whether it is within {allowed}: evaluate on about {needed} photos, or allow more"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f}"
