"""The accuracy gate: may a smaller model replace a larger one?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgecnn.bench.paired import Paired, difference_interval
from edgecnn.core.errors import GateFailed, GateUndecided, InputError


@dataclass(frozen=True, slots=True)
class Gate:
    """The verdict on a drop of at most `max_drop` percentage points of top-1."""

    max_drop: float
    passed: bool | None
    """None: the photos are too few to tell."""
    images_needed: int | None
    """For an undecided gate, about how many photos would decide it; None where no number would, or none are needed."""
    message: str
    """The verdict in one line, with its figures."""


def classify_observation(paired: Paired, max_drop_points: float) -> Gate:
    """A test of non-inferiority on the 95 % interval of the difference in top-1.

    Passed when the whole interval is above the limit, failed when all of it is below, undecided when it straddles it:
    to have seen no significant drop is not to have shown that there is none. Raises `InputError`.
    """
    check_max_drop(max_drop_points)
    limit = -max_drop_points / 100
    low, high = paired.ci95
    found = (
        f"top-1 changes by {_points(paired.delta_top1)} points, 95% interval {_points(low)} to {_points(high)}, "
        f"on {paired.n} photos"
    )
    allowed = f"a drop of {max_drop_points:g} points"
    if low >= limit:
        return Gate(max_drop_points, True, None, f"passed: {found}; {allowed} is allowed")
    if high < limit:
        return Gate(max_drop_points, False, None, f"failed: {found}; expected {allowed} at most")
    needed = images_needed(paired, limit)
    return Gate(max_drop_points, None, needed, f"undecided: {found}; {_advice(allowed, needed)}")


def check_max_drop(points: float) -> None:
    """Raises `InputError` unless `points` is a number of percentage points from 0 to 100."""
    if not 0 <= points <= 100:
        raise InputError(f"expected a largest drop of 0 to 100 percentage points, such as 1.0, got {points:g}")


def enforce(gate: Gate) -> None:
    """Raises `GateFailed` or `GateUndecided` unless the gate passed."""
    if gate.passed is None:
        raise GateUndecided(gate.message)
    if not gate.passed:
        raise GateFailed(gate.message)


def gate_record(gate: Gate) -> dict[str, Any]:
    """The JSON object of `gate`."""
    return {"max_drop": gate.max_drop, "passed": gate.passed}


def images_needed(paired: Paired, limit: float) -> int | None:
    """The least number of photos at which the interval leaves `limit` (a difference in top-1) on one side, if the
    models go on to differ at the observed rates. None when the observed difference is the limit itself: the interval
    narrows around it and never leaves it.
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
        return f"it is {allowed} itself, so no number of photos would decide; allow more, or improve the model"
    return f"too few to tell whether it is within {allowed}: evaluate on about {needed} photos, or allow more"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.2f}"
