"""The speed gate: a check that a report is not slower than the first one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecnn.bench.bootstrap import Ratio
from edgecnn.core.errors import GateFailed, GateUndecided, InputError
from edgecnn.core.records.comparison import SpeedGateRecord


@dataclass(frozen=True, slots=True)
class SpeedGate:
    """The verdict on all reports but the first."""

    fail_above_percent: float
    passed: bool | None
    """None if there are too few samples to decide."""
    message: str
    """The verdict in one line, with the figures of the report that decides it."""


def decide_speed_gate(base: str, ratios: Sequence[tuple[str, Ratio]], fail_above_percent: float) -> SpeedGate:
    """Decide on reports by the 95 % intervals of their latency.

    A report fails if its whole interval is above the limit, passes if none of it is, and is undecided if the interval
    straddles the limit or does not exist. One failing report fails the gate; otherwise one undecided report leaves it
    undecided.

    Args:
        base: Name of the first report.
        ratios: For every other report its name and its p50 over that of the first.
        fail_above_percent: How much slower than the first a report may be, in percent.

    Returns:
        The verdict.

    Raises:
        InputError: If the limit is negative or not finite.
    """
    if not (fail_above_percent >= 0 and math.isfinite(fail_above_percent)):
        raise InputError(f"expected a limit of 0 % or more, such as 10%, got {fail_above_percent:g}")
    limit = 1 + fail_above_percent / 100
    verdicts = [_verdict(ratio, limit) for _, ratio in ratios]
    passed = False if False in verdicts else None if None in verdicts else True
    deciding = [entry for entry, verdict in zip(ratios, verdicts, strict=True) if verdict is passed]
    name, ratio = max(deciding, key=lambda entry: entry[1].value)
    word = {True: "passed", False: "failed", None: "undecided"}[passed]
    advice = "; measure longer" if passed is None else ""
    message = f"{word}: {name} takes {_describe_ratio(ratio, base)}; up to {limit:.1%} is allowed{advice}"
    return SpeedGate(fail_above_percent, passed, message)


def parse_percent(text: str) -> float:
    """Parse a percentage.

    Args:
        text: A number, with or without a percent sign.

    Returns:
        The number.

    Raises:
        InputError: If the text is not a number.
    """
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise InputError(f"expected a percentage such as 10%, got {text!r}") from None


def enforce_speed(gate: SpeedGate) -> None:
    """Raise an error unless the gate passed.

    Args:
        gate: A decided or undecided gate.

    Raises:
        GateFailed: If it failed.
        GateUndecided: If there are too few samples.
    """
    if gate.passed is None:
        raise GateUndecided(gate.message)
    if not gate.passed:
        raise GateFailed(gate.message)


def speed_gate_record(gate: SpeedGate) -> SpeedGateRecord:
    """Return the JSON object of a gate.

    Args:
        gate: A decided or undecided gate.

    Returns:
        The record.
    """
    return SpeedGateRecord(fail_above_percent=gate.fail_above_percent, passed=gate.passed)


def _verdict(ratio: Ratio, limit: float) -> bool | None:
    if ratio.ci95 is None:
        return None
    low, high = ratio.ci95
    if high <= limit:
        return True
    return False if low > limit else None


def _describe_ratio(ratio: Ratio, base: str) -> str:
    text = f"{ratio.value:.1%} of the time of {base}"
    if ratio.ci95 is None:
        return f"{text}, with too few samples for an interval"
    low, high = ratio.ci95
    return f"{text}, 95% interval {low:.1%} to {high:.1%}"
