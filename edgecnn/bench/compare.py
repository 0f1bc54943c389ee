"""Benchmark reports side by side, the first of them the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.bench.bootstrap import Ratio, Series, median_ratio
from edgecnn.bench.saved_benchmark import SavedBenchmark, SavedDecision, read_benchmark
from edgecnn.bench.speed_gate import SpeedGate, judge_speed, speed_gate_record
from edgecnn.core.errors import InputError


class Agreement(NamedTuple):
    """How often two reports decided on the same class, over the photos that both have."""

    n: int
    agreement: float
    """A fraction from 0 to 1."""
    differing: tuple[str, ...]
    """The SHA-256 of every photo on which they did not."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A report, and what it is to the base; the base itself has neither ratio nor agreement."""

    path: Path
    report: SavedBenchmark
    ratio: Ratio | None
    """p50 of the total over the base's: 2 is twice as slow."""
    agreement: Agreement | None
    """None as well where not both have decisions, or no photo in common."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports in the order given."""

    reports: tuple[Compared, ...]
    gate: SpeedGate | None
    warnings: tuple[str, ...]
    """Why the figures may not mean what they seem to, a line each."""


def compare_reports(paths: Sequence[Path], *, fail_above_percent: float | None = None, seed: int = 0) -> Comparison:
    """Reads reports and compares every later one with the first. Raises `InputError`.

    `fail_above_percent` makes it a gate: by how much slower than the first a report may be, see `judge_speed`. `seed`
    is of the intervals.
    """
    if len(paths) < 2:
        raise InputError(f"expected two reports or more to compare, got {len(paths)}")
    base, *later = (read_benchmark(path) for path in paths)
    compared = [Compared(paths[0], base, None, None)]
    for path, report in zip(paths[1:], later, strict=True):
        ratio = median_ratio(_totals(report), _totals(base), seed=seed)
        compared.append(Compared(path, report, ratio, agreement_of(base.decisions, report.decisions)))
    ratios = [(str(each.path), each.ratio) for each in compared if each.ratio]
    gate = None if fail_above_percent is None else judge_speed(str(paths[0]), ratios, fail_above_percent)
    return Comparison(tuple(compared), gate, tuple(_warnings(compared)))


def agreement_of(first: Sequence[SavedDecision] | None, later: Sequence[SavedDecision] | None) -> Agreement | None:
    """Compares decisions photo by photo; None without photos that both have. A photo is known by its content."""
    if first is None or later is None:
        return None
    said, said_later = ({each.sha256: each.predicted for each in decisions} for decisions in (first, later))
    common = said.keys() & said_later.keys()
    if not common:
        return None
    differing = tuple(sorted(photo for photo in common if said[photo] != said_later[photo]))
    return Agreement(len(common), 1 - len(differing) / len(common), differing)


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """The JSON object that `edgecnn compare --json` prints."""
    return {
        "reports": [_compared_record(each) for each in comparison.reports],
        "gate": speed_gate_record(comparison.gate) if comparison.gate else None,
        "warnings": list(comparison.warnings),
    }


def _compared_record(compared: Compared) -> dict[str, Any]:
    report, total = compared.report, compared.report.stages.total
    return {
        "path": str(compared.path),
        "model": report.model.name,
        "sha256": report.model.sha256,
        "device": report.environment.device,
        "threads": report.model.threads,
        "p50_ms": total.p50_ms,
        "p90_ms": total.p90_ms,
        "p99_ms": total.p99_ms,
        "fps": 1000 / total.mean_ms,
        "size_bytes": report.model.size_bytes,
        "peak_rss_bytes": report.peak_rss_bytes,
        "top1": report.accuracy.top1 if report.accuracy else None,
        "valid": report.valid,
        "ratio_p50": {"ratio": compared.ratio.value, "ci95": compared.ratio.ci95} if compared.ratio else None,
        "agreement": compared.agreement._asdict() if compared.agreement else None,
    }


def _totals(report: SavedBenchmark) -> Series:
    return Series(report.samples.model.total, report.protocol.block)


def _warnings(compared: Sequence[Compared]) -> Iterator[str]:
    base = compared[0]
    for each in compared:
        if reasons := each.report.invalid_reasons:
            more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
            yield f"{each.path} is not a valid measurement: {reasons[0]}{more}"
    for each in compared[1:]:
        if each.report.model.sha256 != base.report.model.sha256:
            names = f"{each.report.model.name} and {base.report.model.name}"
            yield f"{each.path} and {base.path} measured different model files, {names}"
        if each.report.decisions and base.report.decisions and each.agreement is None:
            yield f"{each.path} and {base.path} have no photo in common, so their decisions cannot be compared"
