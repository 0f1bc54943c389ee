from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgecnn.bench.environment import MachineState, describe_environment
from edgecnn.bench.latency import (
    QUICK,
    STAGES,
    BenchmarkReport,
    ModelIdentity,
    ModelLatency,
    Protocol,
    benchmark,
    benchmark_record,
    machine_reasons,
    sample_reasons,
    synthetic_frames,
)
from edgecnn.core.errors import InputError
from edgecnn.core.frame import StageLatency
from edgecnn.core.model_file import ModelFile, sha256_of
from edgecnn.core.stats import LatencyStats

BRIEF = Protocol(queries=20, min_seconds=0, warm_up=2, block=5)
KEYS = [
    *("format_version", "model", "environment", "protocol", "cold_start_ms", "stages", "peak_rss_bytes"),
    *("valid", "invalid_reasons", "baseline", "speedup_p50", "size_ratio"),
]


def _latency(totals_ms: list[float], size_bytes: int = 1000) -> ModelLatency:
    samples = tuple(StageLatency(1.0, total - 1.5, 0.5) for total in totals_ms)
    return ModelLatency(ModelIdentity("m", "0" * 64, size_bytes, "int8", 1), 12.0, samples)


def _report(model: ModelLatency, baseline: ModelLatency | None, reasons: tuple[str, ...] = ()) -> BenchmarkReport:
    return BenchmarkReport(model, baseline, describe_environment(), BRIEF, None, reasons)


def test_two_models_are_measured_in_turns(mobilenet_v1: ModelFile, mobilenet_v2: ModelFile) -> None:
    told: list[tuple[int, int]] = []
    frames = synthetic_frames(480, 640, 3, seed=1)
    report = benchmark(
        mobilenet_v1,
        baseline=mobilenet_v2,
        frames=frames,
        protocol=BRIEF,
        progress=lambda done, total: told.append((done, total)),
    )
    record = benchmark_record(report)
    assert list(record) == KEYS
    assert list(record["stages"]) == list(STAGES)
    assert list(record["stages"]["total"]) == list(LatencyStats._fields)
    assert record["stages"]["total"]["n"] == record["baseline"]["stages"]["total"]["n"] == 20
    assert record["model"]["sha256"] == sha256_of(mobilenet_v1.path)
    assert record["model"]["precision"] is None
    assert record["size_ratio"] == mobilenet_v2.path.stat().st_size / mobilenet_v1.path.stat().st_size
    assert record["cold_start_ms"] > 0
    assert told == [(10, 40), (20, 40), (30, 40), (40, 40)]
    assert json.loads(json.dumps(record)) == record


def test_measuring_goes_on_for_the_least_time(mobilenet_v1: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(mobilenet_v1, frames=frames, protocol=replace(BRIEF, queries=1, min_seconds=0.2))
    assert sum(report.model.stage_ms("total")) > 100
    assert benchmark_record(report)["baseline"] is None


def test_measuring_stops_at_the_most_time_and_says_so(mobilenet_v1: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(
        mobilenet_v1, frames=frames, protocol=replace(BRIEF, queries=10**6, min_seconds=0, max_seconds=0.05)
    )
    assert any("samples of 1000000" in reason for reason in report.invalid_reasons)


def test_frames_of_another_size_are_refused(mobilenet_v1: ModelFile) -> None:
    with pytest.raises(InputError, match=r"\(480, 640, 3\).*\(100, 100, 3\)"):
        benchmark(mobilenet_v1, frames=synthetic_frames(100, 100, 1, seed=0), protocol=QUICK)


def test_no_frames_are_refused(mobilenet_v1: ModelFile) -> None:
    with pytest.raises(InputError, match="got none"):
        benchmark(mobilenet_v1, frames=[])


def test_the_total_is_the_sum_of_the_stages_sample_by_sample() -> None:
    result = _latency([4.0, 6.0])
    assert result.stage_ms("total") == [4.0, 6.0]
    assert result.stage_ms("invoke") == [2.5, 4.5]
    assert result.stages()["total"].p50_ms == 5.0


def test_ratios_are_the_baselines_over_the_models() -> None:
    record = benchmark_record(_report(_latency([5.0], size_bytes=1000), _latency([10.0], size_bytes=4000)))
    assert record["speedup_p50"] == 2.0
    assert record["size_ratio"] == 4.0


def test_samples_are_in_the_record_only_when_asked_for() -> None:
    report = _report(_latency([5.0, 6.0]), None)
    assert "samples" not in benchmark_record(report)
    samples = benchmark_record(report, samples=True)["samples"]
    assert samples["model"]["total"] == [5.0, 6.0]
    assert samples["baseline"] is None


def test_a_report_is_valid_when_nothing_speaks_against_it() -> None:
    assert benchmark_record(_report(_latency([5.0]), None))["valid"] is True
    spoiled = benchmark_record(_report(_latency([5.0]), None, ("why",)))
    assert (spoiled["valid"], spoiled["invalid_reasons"]) == (False, ["why"])


def test_steady_samples_are_accepted() -> None:
    assert list(sample_reasons(_latency([5.0, 5.2] * 50), BRIEF)) == []


@pytest.mark.parametrize(
    ("totals_ms", "reason"),
    [
        ([5.0] * 10, "10 samples of 20"),
        ([5.0] * 90 + [50.0] * 10, "p99 is 10.0 times p50"),
        ([5.0] * 50 + [8.0] * 50, "slowed from 5.00 to 8.00 ms"),
        ([5.0] * 99 + [1.0], "clock went backward"),
    ],
)
def test_samples_that_do_not_hold_are_told_with_their_figures(totals_ms: list[float], reason: str) -> None:
    assert any(reason in told for told in sample_reasons(_latency(totals_ms), BRIEF))


def test_a_machine_that_others_keep_busy_is_told() -> None:
    environment = replace(describe_environment(), cores=4)
    before = MachineState(0, 0, 0, None)
    assert list(machine_reasons(environment, before, MachineState(10, 10, 20, None))) == []
    (reason,) = machine_reasons(environment, before, MachineState(10, 10, 40, None))
    assert "3.0 of 4 cores" in reason


def test_the_load_average_speaks_where_the_system_hides_processor_times() -> None:
    state = MachineState(0, 0, None, None)
    environment = replace(describe_environment(), cores=4, load_average=2.5)
    (reason,) = machine_reasons(environment, state, state)
    assert "2.5 on 4 cores" in reason
    assert list(machine_reasons(replace(environment, load_average=None), state, state)) == []


def test_a_throttled_processor_is_told() -> None:
    (reason,) = machine_reasons(describe_environment(), MachineState(0, 0, 0, 0), MachineState(1, 1, 1, 0x4))
    assert "held the processor back" in reason


@pytest.mark.parametrize("change", [{"queries": 0}, {"warm_up": -1}, {"min_seconds": 9.0, "max_seconds": 1.0}])
def test_a_protocol_that_measures_nothing_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        Protocol(**change)  # type: ignore[arg-type]


def test_synthetic_frames_are_pictures_that_a_seed_repeats() -> None:
    frames = synthetic_frames(48, 64, 2, seed=3)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    assert frames[0].dtype == np.uint8
    assert frames[0].std() > 20
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], synthetic_frames(48, 64, 2, seed=3)[1])
