from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edgecnn.bench.benchmark_record import benchmark_record
from edgecnn.bench.benchmark_report import BenchmarkReport, ModelLatency
from edgecnn.bench.conditions import Conditions, read_conditions
from edgecnn.bench.environment import describe_environment, read_machine_state
from edgecnn.bench.frames import frames_for, synthetic_frames
from edgecnn.bench.isolated_process import IsolatedResult, measure_isolated
from edgecnn.bench.latency import benchmark, sample_reasons
from edgecnn.bench.measure import parse_thread_counts
from edgecnn.bench.protocol import FULL, QUICK, protocol_for
from edgecnn.core.board import peak_rss_bytes
from edgecnn.core.errors import EdgecnnError, InputError
from edgecnn.core.frame import StageLatency
from edgecnn.core.metrics.latency import LatencyStats
from edgecnn.core.model_file.model_file import ModelFile, read_model_file, sha256_of
from edgecnn.core.records.benchmark import BENCHMARK_VERSION, STAGES, Energy, ModelIdentity, Protocol
from edgecnn.core.settings.command_settings import BenchmarkSettings
from edgecnn.runtime.inference.classifier import load_model
from tests.pixel_model import write_pixel_model

BRIEF = Protocol(queries=20, min_seconds=0, warm_up=2, block=5)
KEYS = [
    *("format_version", "created", "model", "environment", "protocol", "conditions"),
    *("cold_start_ms", "peak_rss_bytes", "stages", "energy", "accuracy", "decisions"),
    *("sweep", "photos", "paired", "valid", "invalid_reasons", "baseline", "speedup_p50", "size_ratio", "samples"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return load_model(write_pixel_model(tmp_path_factory.mktemp("small"), 8, 8))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return load_model(write_pixel_model(tmp_path_factory.mktemp("large"), 24, 24))


def _latency(totals_ms: list[float], size_bytes: int = 1000) -> ModelLatency:
    samples = tuple(StageLatency(1.0, total - 1.5, 0.5) for total in totals_ms)
    identity = ModelIdentity(name="m", sha256="0" * 64, size_bytes=size_bytes, precision="int8", threads=1)
    return ModelLatency(identity, IsolatedResult(12.0, None), samples)


def _report(model: ModelLatency, baseline: ModelLatency | None, reasons: tuple[str, ...] = ()) -> BenchmarkReport:
    state = read_machine_state()
    return BenchmarkReport(
        model=model,
        baseline=baseline,
        sweep=(),
        environment=describe_environment(),
        conditions=Conditions(state, state, (read_conditions(),) * 2, None, 80.0),
        protocol=BRIEF,
        invalid_reasons=reasons,
        created=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


def test_two_models_are_measured_in_turns(mobilenet_v1: ModelFile, mobilenet_v2: ModelFile) -> None:
    reports: list[tuple[int, int]] = []
    report = benchmark(
        mobilenet_v1,
        baseline=mobilenet_v2,
        frames=frames_for(BRIEF),
        protocol=BRIEF,
        progress=lambda done, total: reports.append((done, total)),
    )
    record = benchmark_record(report).to_json()
    assert list(record) == KEYS
    assert record["format_version"] == BENCHMARK_VERSION
    assert list(record["stages"]) == list(STAGES)
    assert list(record["stages"]["total"]) == list(LatencyStats.model_fields)
    assert record["stages"]["total"]["n"] == record["baseline"]["stages"]["total"]["n"] == 20
    assert record["model"]["sha256"] == sha256_of(mobilenet_v1.path)
    assert record["model"]["precision"] is None
    assert record["size_ratio"] == mobilenet_v2.path.stat().st_size / mobilenet_v1.path.stat().st_size
    assert record["cold_start_ms"] > 0
    assert reports == [(10, 40), (20, 40), (30, 40), (40, 40)]
    assert json.loads(json.dumps(record)) == record


def test_every_number_of_threads_of_a_sweep_is_measured_equally_often(small: ModelFile, large: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(small, baseline=large, frames=frames, threads=2, sweep=(1, 2, 3), protocol=BRIEF)
    record = benchmark_record(report).to_json()
    assert [each["threads"] for each in record["sweep"]] == [1, 2, 3]
    assert [each["stages"]["total"]["n"] for each in record["sweep"]] == [20] * 3
    assert record["sweep"][1]["stages"] == record["stages"]
    assert (record["model"]["threads"], record["baseline"]["threads"]) == (2, 2)
    # The samples of two threads are those of the model and are not repeated.
    assert list(record["samples"]["sweep"]) == ["1", "3"]
    assert [len(each["total"]) for each in record["samples"]["sweep"].values()] == [20] * 2


def test_measuring_continues_for_the_minimum_duration(small: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    reports: list[tuple[int, int]] = []
    report = benchmark(
        small,
        frames=frames,
        protocol=BRIEF.model_copy(update={"queries": 5, "min_seconds": 0.2}),
        progress=lambda done, total: reports.append((done, total)),
    )
    assert report.conditions.after.clock_s - report.conditions.before.clock_s >= 0.2
    assert benchmark_record(report).baseline is None
    # The samples were complete at once: progress waits for the minimum duration.
    assert reports[0][0] < 5
    assert reports[-1] == (5, 5)


def test_measuring_stops_at_the_maximum_duration_and_reports_it(small: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(small, frames=frames, protocol=BRIEF.model_copy(update={"queries": 10**6, "max_seconds": 0.05}))
    assert any("samples of 1000000" in reason for reason in report.invalid_reasons)


def test_frames_of_another_size_are_refused(small: ModelFile) -> None:
    with pytest.raises(InputError, match=r"\(480, 640, 3\).*\(100, 100, 3\)"):
        benchmark(small, frames=synthetic_frames(100, 100, 1, seed=0), protocol=QUICK)


def test_an_empty_list_of_frames_is_refused(small: ModelFile) -> None:
    with pytest.raises(InputError, match="got none"):
        benchmark(small, frames=[])


def test_the_total_is_the_sum_of_the_stages_of_each_sample() -> None:
    result = _latency([4.0, 6.0])
    assert result.stage_ms("total") == [4.0, 6.0]
    assert result.stage_ms("invoke") == [2.5, 4.5]
    assert result.stages().total.p50_ms == 5.0


def test_ratios_divide_the_baseline_by_the_model() -> None:
    record = benchmark_record(_report(_latency([5.0], size_bytes=1000), _latency([10.0], size_bytes=4000)))
    assert record.speedup_p50 == 2.0
    assert record.size_ratio == 4.0


def test_samples_are_rounded_to_microseconds() -> None:
    report = _report(_latency([5.0004567, 6.0]), None)
    samples = benchmark_record(report).samples
    assert samples.model.total == (5.0, 6.0)
    assert samples.model.invoke == (3.5, 4.5)
    assert samples.baseline is None


def test_each_model_has_its_own_energy_and_memory() -> None:
    model = replace(
        _latency([5.0]), energy=Energy(n=3, mean_watts=4.0, mj_per_frame=20.0), isolated=IsolatedResult(12.0, 90)
    )
    record = benchmark_record(_report(model, _latency([10.0]))).to_json()
    assert record["energy"] == {"n": 3, "mean_watts": 4.0, "mj_per_frame": 20.0}
    assert record["peak_rss_bytes"] == 90
    assert (record["baseline"]["energy"], record["baseline"]["peak_rss_bytes"]) == (None, None)


def test_a_report_without_reasons_is_valid() -> None:
    assert benchmark_record(_report(_latency([5.0]), None)).valid is True
    disturbed = benchmark_record(_report(_latency([5.0]), None, ("why",)))
    assert (disturbed.valid, disturbed.invalid_reasons) == (False, ("why",))


def test_steady_samples_are_accepted() -> None:
    assert list(sample_reasons(_latency([5.0, 5.2] * 50), BRIEF)) == []


@pytest.mark.parametrize(
    ("totals_ms", "reason"),
    [
        ([5.0] * 10, "m, 1 thread: 10 samples of 20"),
        ([5.0] * 90 + [50.0] * 10, "p99 is 10.0 times p50"),
        ([5.0] * 50 + [8.0] * 50, "slowed from 5.00 to 8.00 ms"),
        ([5.0] * 99 + [1.0], "clock went backward"),
    ],
)
def test_invalid_samples_are_reported_with_their_figures(totals_ms: list[float], reason: str) -> None:
    assert any(reason in line for line in sample_reasons(_latency(totals_ms), BRIEF))


@pytest.mark.parametrize(
    "change",
    [
        {"queries": 0},
        {"warm_up": -1},
        {"min_seconds": 9.0, "max_seconds": 1.0},
        {"min_seconds": 0.0, "max_seconds": 0.0},
        {"watch_seconds": 0.0},
    ],
)
def test_an_invalid_protocol_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Protocol(**change)  # type: ignore[arg-type]


def test_settings_select_the_full_or_the_quick_protocol_and_override_it() -> None:
    assert protocol_for(BenchmarkSettings(quick=False)) == FULL
    assert (FULL.queries, FULL.min_seconds) == (1024, 60)
    assert protocol_for(BenchmarkSettings()) == QUICK
    assert (QUICK.queries, QUICK.min_seconds) == (128, 10)
    given = protocol_for(BenchmarkSettings(queries=5, seconds=0))
    assert (given.queries, given.min_seconds, given.warm_up) == (5, 0, QUICK.warm_up)


def test_a_minimum_duration_above_the_maximum_raises_the_maximum() -> None:
    assert protocol_for(BenchmarkSettings(seconds=5000)).max_seconds > 5000


@pytest.mark.parametrize(("text", "counts"), [("1", (1,)), ("4,2, 1", (4, 2, 1))])
def test_numbers_of_threads_keep_their_order(text: str, counts: tuple[int, ...]) -> None:
    assert parse_thread_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1,,2", "1,1", "1.5", "²"])
def test_invalid_numbers_of_threads_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"such as 1,2,4, got"):
        parse_thread_counts(text)


def test_memory_is_that_of_a_separate_process(small: ModelFile) -> None:
    here = peak_rss_bytes()
    if here is None:
        pytest.skip("this system does not provide the peak memory of a process")
    occupied = np.ones(256 * 2**20, np.uint8)
    isolated = measure_isolated(small, threads=1, height=480, width=640)
    assert isolated.peak_rss_bytes is not None
    assert 10 * 2**20 < isolated.peak_rss_bytes < occupied.nbytes
    assert isolated.cold_start_ms > 0


def test_labels_and_preprocessing_reach_the_separate_process(mobilenet_v1: ModelFile) -> None:
    measure_isolated(mobilenet_v1, threads=1, height=48, width=64)
    with pytest.raises(
        EdgecnnError, match=r"separate process could not classify with .*: /.* does not specify its preprocessing"
    ):
        measure_isolated(read_model_file(mobilenet_v1.path), threads=1, height=48, width=64)


def test_a_failing_process_is_reported_in_one_line(small: ModelFile, tmp_path: Path) -> None:
    absent = replace(small, path=tmp_path / "absent.tflite")
    with pytest.raises(EdgecnnError, match=r"could not classify with .*absent\.tflite: .*no such model file") as raised:
        measure_isolated(absent, threads=1, height=48, width=64)
    assert "\n" not in str(raised.value)


def test_a_seed_determines_the_synthetic_frames() -> None:
    frames = synthetic_frames(48, 64, 2, seed=3)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    assert frames[0].dtype == np.uint8
    assert frames[0].std() > 20
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], synthetic_frames(48, 64, 2, seed=3)[1])
