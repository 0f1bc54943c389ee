"""The format of `edgecnn compare --json`."""

from __future__ import annotations

from edgecnn.core.records.record import Record


class RatioRecord(Record):
    """The ratio of two medians."""

    ratio: float
    """The report's p50 over that of the first report: 2 is twice as slow."""
    ci95: tuple[float, float] | None
    """95 % confidence interval of the ratio; null if there are too few samples."""


class Agreement(Record):
    """Agreement of the decisions of two reports, over the photos that both contain."""

    n: int
    """Number of photos that both reports contain."""
    agreement: float
    """Fraction of them with the same decision."""
    differing: tuple[str, ...]
    """SHA-256 of every photo with different decisions."""


class ComparedRecord(Record):
    """One of the compared reports."""

    path: str
    """The report's file."""
    model: str
    """Name of the model."""
    sha256: str
    """Hash of the model file."""
    device: str
    """Board, else processor, else architecture."""
    threads: int
    """Threads of the interpreter."""
    p50_ms: float
    """Median of the total latency."""
    p90_ms: float
    """90th percentile of the total latency."""
    p99_ms: float
    """99th percentile of the total latency."""
    fps: float
    """Frames per second: 1000 over the mean of the total latency."""
    size_bytes: int
    """Size of the model file."""
    peak_rss_bytes: int | None
    """Peak memory of a process that runs only this model."""
    top1: float | None
    """Top-1 on the photos of the report; null if it has none."""
    valid: bool
    """False if something disturbed the measurement."""
    ratio_p50: RatioRecord | None
    """Total latency against the first report; null for the first report."""
    agreement: Agreement | None
    """Decisions against the first report; null for the first report, or if the two have no photo in common."""


class SpeedGateRecord(Record):
    """The verdict of the speed gate."""

    fail_above_percent: float
    """How much slower than the first report a report may be, in percent."""
    passed: bool | None
    """Null if there are too few samples to decide."""


class ComparisonRecord(Record):
    """Benchmark reports compared with the first of them."""

    reports: tuple[ComparedRecord, ...]
    """The reports in the order given."""
    gate: SpeedGateRecord | None
    """The verdict of `--fail-above`."""
    warnings: tuple[str, ...]
    """Reasons why the figures may be misleading."""
