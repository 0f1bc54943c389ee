"""Tables of `edgecnn benchmark` and `edgecnn compare`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgecnn.cli.console import print_table, say

_NONE = "-"


def print_benchmark(record: dict[str, Any]) -> None:
    """Print the record of a benchmark: tables of stages and threads, and one line for each other result."""
    threads = record["model"]["threads"]
    title = f"milliseconds per frame, {threads} thread{'s' if threads > 1 else ''}"
    rows = [
        (
            f"{name}: {stage}",
            *(f"{stats[key]:.3f}" for key in ("p50_ms", "p90_ms", "p99_ms", "min_ms")),
            str(stats["n"]),
        )
        for name, measured in _models(record)
        for stage, stats in measured["stages"].items()
    ]
    print_table(title, ("stage", "p50", "p90", "p99", "min", "samples"), rows)
    if record["sweep"]:
        _print_sweep(record)
    for name, measured in _models(record):
        print(f"{name}: {', '.join(_findings(measured))}")
    print(record["environment"]["board"] or record["environment"]["cpu"] or "unknown processor")
    if record["baseline"]:
        print(
            f"{record['speedup_p50']:.2f} times as fast as {record['baseline']['name']} (p50 of the total), "
            f"{record['size_ratio']:.2f} times smaller"
        )
    if paired := record["paired"]:
        low, high = (100 * bound for bound in paired["ci95"])
        print(
            f"difference in top-1: {100 * paired['delta_top1']:+.2f} points, 95 % between {low:+.2f} and {high:+.2f}; "
            f"{paired['agreement']:.1%} of the decisions agree"
        )
    for reason in record["invalid_reasons"]:
        say(f"not valid: {reason}")


def print_comparison(record: dict[str, Any]) -> None:
    """Print the record of a comparison: tables with one row per report."""
    reports = record["reports"]
    columns = ("report", "model", "device", "threads", "size", "memory", "top-1", "same decisions")
    print_table("measured models", columns, [_subject_row(report) for report in reports], texts={"model", "device"})
    times = ("report", "p50", "p90", "p99", "fps", "p50 / first", "95 %", "valid")
    print_table("milliseconds per frame", times, [_times_row(report) for report in reports])


def _models(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield record["model"]["name"], record
    if record["baseline"]:
        yield record["baseline"]["name"], record["baseline"]


def _print_sweep(record: dict[str, Any]) -> None:
    first_ms = record["sweep"][0]["stages"]["total"]["p50_ms"]
    rows = [
        (
            str(run["threads"]),
            *(f"{run['stages']['total'][key]:.3f}" for key in ("p50_ms", "p90_ms", "p99_ms")),
            f"{run['stages']['invoke']['p50_ms']:.3f}",
            f"{first_ms / run['stages']['total']['p50_ms']:.2f}",
        )
        for run in record["sweep"]
    ]
    title = f"milliseconds per frame by number of threads, {record['model']['name']}"
    print_table(title, ("threads", "p50", "p90", "p99", "p50 of invoke", "times as fast"), rows)


def _findings(measured: dict[str, Any]) -> Iterator[str]:
    yield f"cold start {measured['cold_start_ms']:.1f} ms"
    if measured["peak_rss_bytes"] is not None:
        yield f"peak memory {_megabytes(measured['peak_rss_bytes'])}"
    if energy := measured["energy"]:
        yield f"{energy['mean_watts']:.2f} W, {energy['mj_per_frame']:.1f} mJ per frame"
    if accuracy := measured["accuracy"]:
        yield f"top-1 {accuracy['top1']:.4f} on {accuracy['n']} photos"


def _subject_row(report: dict[str, Any]) -> tuple[str, ...]:
    agreement = report["agreement"]
    return (
        report["path"],
        report["model"],
        report["device"],
        str(report["threads"]),
        _megabytes(report["size_bytes"]),
        _NONE if report["peak_rss_bytes"] is None else _megabytes(report["peak_rss_bytes"]),
        _NONE if report["top1"] is None else f"{report['top1']:.4f}",
        _NONE if agreement is None else f"{agreement['agreement']:.1%} of {agreement['n']}",
    )


def _times_row(report: dict[str, Any]) -> tuple[str, ...]:
    ratio = report["ratio_p50"]
    return (
        report["path"],
        *(f"{report[key]:.3f}" for key in ("p50_ms", "p90_ms", "p99_ms")),
        f"{report['fps']:.1f}",
        _NONE if ratio is None else f"{ratio['ratio']:.3f}",
        _NONE if ratio is None or ratio["ci95"] is None else "{:.3f} to {:.3f}".format(*ratio["ci95"]),
        "yes" if report["valid"] else "no",
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB"
