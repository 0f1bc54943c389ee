"""Summaries of latency samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LatencyStats(NamedTuple):
    """Order statistics of `n` latencies in milliseconds; percentiles interpolate linearly between ranks."""

    n: int
    mean_ms: float
    std_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def latency_stats(samples_ms: Sequence[float] | NDArray[np.float64]) -> LatencyStats:
    """Summarizes at least one sample; `std_ms` is the sample deviation (0 for a single sample)."""
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
