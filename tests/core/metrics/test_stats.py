from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.metrics.latency import latency_stats

latencies_ms = st.lists(st.floats(0, 1e5), min_size=2, max_size=200)


@given(latencies_ms)
def test_summary_matches_the_standard_library(samples: list[float]) -> None:
    stats = latency_stats(samples)
    percentiles = statistics.quantiles(samples, n=100, method="inclusive")
    assert stats.n == len(samples)
    assert stats.mean_ms == pytest.approx(statistics.fmean(samples))
    assert stats.std_ms == pytest.approx(statistics.stdev(samples), abs=1e-6)
    assert (stats.min_ms, stats.max_ms) == (min(samples), max(samples))
    for value, percent in ((stats.p50_ms, 50), (stats.p90_ms, 90), (stats.p95_ms, 95), (stats.p99_ms, 99)):
        assert value == pytest.approx(percentiles[percent - 1])


@given(latencies_ms, st.randoms())
def test_the_order_of_the_samples_does_not_matter(samples: list[float], random: np.random.Generator) -> None:
    shuffled = samples.copy()
    random.shuffle(shuffled)
    assert latency_stats(shuffled).to_json() == pytest.approx(latency_stats(samples).to_json())


def test_a_single_sample_has_no_deviation() -> None:
    values = latency_stats([3.5]).to_json()
    assert (values.pop("n"), values.pop("std_ms"), set(values.values())) == (1, 0.0, {3.5})


def test_an_empty_list_of_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="no latency samples"):
        latency_stats(np.empty(0))
