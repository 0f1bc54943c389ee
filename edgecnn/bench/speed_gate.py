"""The gate on speed: may a report be slower than the first one?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgecnn.bench.bootstrap import Ratio
from edgecnn.core.errors import GateFailed, GateUndecided, InputError


@dataclass(frozen=True, slots=True)
class SpeedGate:
    """The verdict on all reports but the first."""

    fail_above_percent: float
    passed: bool | None
    """None: the samples are too few to tell."""
    message: str
    """The verdict in one line, with the figures of the report that decides it."""


def judge_speed(base: str, ratios: Sequence[tuple[str, Ratio]], fail_above_percent: float) -> SpeedGate:
    """Judges `(name, p50 over that of base)` by the 95 % intervals.

    A report fails when its whole interval is above the limit, passes when none of it is, and is undecided where it
    straddles the limit or has no interval. One that fails fails them all; else one that is undecided leaves them so.
    Raises `InputError` for a limit that is no percentage.
    """
    if not (fail_above_percent >= 0 and math.isfinite(fail_above_percent)):
        raise InputError(f"expected a limit of 0 % or more, such as 10%, got {fail_above_percent:g}")
    limit = 1 + fail_above_percent / 100
    verdicts = [_verdict(ratio, limit) for _, ratio in ratios]
    passed = False if False in verdicts else None if None in verdicts else True
    deciding = [each for each, verdict in zip(ratios, verdicts, strict=True) if verdict is passed]
    name, ratio = max(deciding, key=lambda each: each[1].value)
    word = {True: "passed", False: "failed", None: "undecided"}[passed]
    advice = "; measure longer" if passed is None else ""
    message = f"{word}: {name} takes {_describe_ratio(ratio, base)}; up to {limit:.1%} is allowed{advice}"
    return SpeedGate(fail_above_percent, passed, message)


def parse_percent(text: str) -> float:
    """Reads a percentage, with or without its sign. Raises `InputError`."""
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise InputError(f"expected a percentage such as 10%, got {text!r}") from None


def enforce_speed(gate: SpeedGate) -> None:
    """Raises `GateFailed` or `GateUndecided` unless the gate passed."""
    if gate.passed is None:
        raise GateUndecided(gate.message)
    if not gate.passed:
        raise GateFailed(gate.message)


def speed_gate_record(gate: SpeedGate) -> dict[str, Any]:
    """The JSON object of `gate`."""
    return {"fail_above_percent": gate.fail_above_percent, "passed": gate.passed}


def _verdict(ratio: Ratio, limit: float) -> bool | None:
    if ratio.ci95 is None:
        return None
    low, high = ratio.ci95
    if high <= limit:
        return True
    return False if low > limit else None


def _describe_ratio(ratio: Ratio, base: str) -> str:
    found = f"{ratio.value:.1%} of the time of {base}"
    if ratio.ci95 is None:
        return f"{found}, with too few samples for an interval"
    low, high = ratio.ci95
    return f"{found}, 95% interval {low:.1%} to {high:.1%}"
