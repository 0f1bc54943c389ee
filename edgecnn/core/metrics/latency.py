"""Summaries of latency samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.records.record import Record


class LatencyStats(Record):
    """Order statistics of latencies in milliseconds. Percentiles interpolate linearly between ranks."""

    n: int
    """Number of samples."""
    mean_ms: float
    """Mean."""
    std_ms: float
    """Sample standard deviation; 0 for a single sample."""
    min_ms: float
    """Minimum."""
    p50_ms: float
    """Median."""
    p90_ms: float
    """90th percentile."""
    p95_ms: float
    """95th percentile."""
    p99_ms: float
    """99th percentile."""
    max_ms: float
    """Maximum."""


def latency_stats(samples_ms: Sequence[float] | NDArray[np.float64]) -> LatencyStats:
    """Summarize latency samples.

    Args:
        samples_ms: At least one latency in milliseconds.

    Returns:
        Their order statistics.

    Raises:
        ValueError: If there are no samples.
    """
    samples = np.asarray(samples_ms, np.float64)
    if samples.size == 0:
        raise ValueError("no latency samples to summarize")
    p50, p90, p95, p99 = np.percentile(samples, [50, 90, 95, 99])
    return LatencyStats(
        n=int(samples.size),
        mean_ms=float(samples.mean()),
        std_ms=float(samples.std(ddof=1)) if samples.size > 1 else 0.0,
        min_ms=float(samples.min()),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p95_ms=float(p95),
        p99_ms=float(p99),
        max_ms=float(samples.max()),
    )
