"""Comparison of benchmark reports with the first of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.bench.benchmark_record import read_benchmark
from edgecnn.bench.bootstrap import Ratio, Series, median_ratio
from edgecnn.bench.speed_gate import SpeedGate, decide_speed_gate, speed_gate_record
from edgecnn.core.errors import InputError
from edgecnn.core.records.benchmark import BenchmarkRecord, DecisionRecord
from edgecnn.core.records.comparison import Agreement, ComparedRecord, ComparisonRecord, RatioRecord


@dataclass(frozen=True, slots=True)
class Compared:
    """A report compared with the first one, which itself has neither ratio nor agreement."""

    path: Path
    report: BenchmarkRecord
    ratio: Ratio | None
    """p50 of the total over that of the first report: 2 is twice as slow."""
    agreement: Agreement | None
    """Also None if one of the reports has no decisions, or they have no photo in common."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports in the order given."""

    reports: tuple[Compared, ...]
    gate: SpeedGate | None
    warnings: tuple[str, ...]
    """Reasons why the figures may be misleading, one line each."""


def compare_reports(paths: Sequence[Path], *, fail_above_percent: float | None = None, seed: int = 0) -> Comparison:
    """Read reports and compare every later one with the first.

    Args:
        paths: At least two report files.
        fail_above_percent: Limit of a gate: how much slower than the first a report may be, see `decide_speed_gate`.
        seed: Seed of the confidence intervals.

    Returns:
        The comparison.

    Raises:
        InputError: If there are fewer than two reports, a file is not a report or the limit is invalid.
    """
    if len(paths) < 2:
        raise InputError(f"expected two reports or more to compare, got {len(paths)}")
    base, *later = (read_benchmark(path) for path in paths)
    compared = [Compared(paths[0], base, None, None)]
    for path, report in zip(paths[1:], later, strict=True):
        ratio = median_ratio(_totals(report), _totals(base), seed=seed)
        compared.append(Compared(path, report, ratio, agreement_of(base.decisions, report.decisions)))
    ratios = [(str(each.path), each.ratio) for each in compared if each.ratio]
    gate = None if fail_above_percent is None else decide_speed_gate(str(paths[0]), ratios, fail_above_percent)
    return Comparison(tuple(compared), gate, tuple(_warnings(compared)))


def agreement_of(first: Sequence[DecisionRecord] | None, later: Sequence[DecisionRecord] | None) -> Agreement | None:
    """Compare decisions photo by photo. Photos are identified by their content.

    Args:
        first: Decisions of the first report.
        later: Decisions of a later report.

    Returns:
        The agreement, or None if the reports have no photo in common.
    """
    if first is None or later is None:
        return None
    before, after = ({each.sha256: each.predicted for each in decisions} for decisions in (first, later))
    common = before.keys() & after.keys()
    if not common:
        return None
    differing = tuple(sorted(photo for photo in common if before[photo] != after[photo]))
    return Agreement(n=len(common), agreement=1 - len(differing) / len(common), differing=differing)


def comparison_record(comparison: Comparison) -> ComparisonRecord:
    """Return the JSON object that `edgecnn compare --json` prints.

    Args:
        comparison: A finished comparison.

    Returns:
        The record.
    """
    return ComparisonRecord(
        reports=tuple(_compared_record(each) for each in comparison.reports),
        gate=speed_gate_record(comparison.gate) if comparison.gate else None,
        warnings=comparison.warnings,
    )


def _compared_record(compared: Compared) -> ComparedRecord:
    report, ratio, total = compared.report, compared.ratio, compared.report.stages.total
    return ComparedRecord(
        path=str(compared.path),
        model=report.model.name,
        sha256=report.model.sha256,
        device=report.environment.device,
        threads=report.model.threads,
        p50_ms=total.p50_ms,
        p90_ms=total.p90_ms,
        p99_ms=total.p99_ms,
        fps=1000 / total.mean_ms,
        size_bytes=report.model.size_bytes,
        peak_rss_bytes=report.peak_rss_bytes,
        top1=report.accuracy.top1 if report.accuracy else None,
        valid=report.valid,
        ratio_p50=RatioRecord(ratio=ratio.value, ci95=ratio.ci95) if ratio else None,
        agreement=compared.agreement,
    )


def _totals(report: BenchmarkRecord) -> Series:
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
