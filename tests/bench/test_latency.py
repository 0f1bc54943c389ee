from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edgecnn.bench.benchmark_record import BENCHMARK_VERSION, benchmark_record
from edgecnn.bench.benchmark_report import STAGES, BenchmarkReport, ModelIdentity, ModelLatency
from edgecnn.bench.conditions import Conditions, read_conditions
from edgecnn.bench.environment import describe_environment, read_machine_state
from edgecnn.bench.frames import frames_for, synthetic_frames
from edgecnn.bench.isolated_process import Alone, measure_alone
from edgecnn.bench.latency import benchmark, sample_reasons
from edgecnn.bench.measure import parse_thread_counts
from edgecnn.bench.power import Energy
from edgecnn.bench.protocol import QUICK, Protocol, protocol_for
from edgecnn.core.board import peak_rss_bytes
from edgecnn.core.errors import EdgecnnError, InputError
from edgecnn.core.frame import StageLatency
from edgecnn.core.metrics.latency import LatencyStats
from edgecnn.core.model_file.model_file import ModelFile, read_model_file, sha256_of
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
    return ModelLatency(ModelIdentity("m", "0" * 64, size_bytes, "int8", 1), Alone(12.0, None), samples)


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
    told: list[tuple[int, int]] = []
    report = benchmark(
        mobilenet_v1,
        baseline=mobilenet_v2,
        frames=frames_for(BRIEF),
        protocol=BRIEF,
        progress=lambda done, total: told.append((done, total)),
    )
    record = benchmark_record(report)
    assert list(record) == KEYS
    assert record["format_version"] == BENCHMARK_VERSION
    assert list(record["stages"]) == list(STAGES)
    assert list(record["stages"]["total"]) == list(LatencyStats._fields)
    assert record["stages"]["total"]["n"] == record["baseline"]["stages"]["total"]["n"] == 20
    assert record["model"]["sha256"] == sha256_of(mobilenet_v1.path)
    assert record["model"]["precision"] is None
    assert record["size_ratio"] == mobilenet_v2.path.stat().st_size / mobilenet_v1.path.stat().st_size
    assert record["cold_start_ms"] > 0
    assert told == [(10, 40), (20, 40), (30, 40), (40, 40)]
    assert json.loads(json.dumps(record)) == record


def test_every_number_of_threads_of_a_sweep_is_measured_as_often(small: ModelFile, large: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(small, baseline=large, frames=frames, threads=2, sweep=(1, 2, 3), protocol=BRIEF)
    record = benchmark_record(report)
    assert [each["threads"] for each in record["sweep"]] == [1, 2, 3]
    assert [each["stages"]["total"]["n"] for each in record["sweep"]] == [20] * 3
    assert record["sweep"][1]["stages"] == record["stages"]
    assert (record["model"]["threads"], record["baseline"]["threads"]) == (2, 2)
    # The samples of two threads are the model's own, and are not there twice.
    assert list(record["samples"]["sweep"]) == ["1", "3"]
    assert [len(each["total"]) for each in record["samples"]["sweep"].values()] == [20] * 2


def test_measuring_goes_on_for_the_least_time(small: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    told: list[tuple[int, int]] = []
    report = benchmark(
        small,
        frames=frames,
        protocol=replace(BRIEF, queries=5, min_seconds=0.2),
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.conditions.after.clock_s - report.conditions.before.clock_s >= 0.2
    assert benchmark_record(report)["baseline"] is None
    # The samples were there at once: progress waits for the time.
    assert told[0][0] < 5
    assert told[-1] == (5, 5)


def test_measuring_stops_at_the_most_time_and_says_so(small: ModelFile) -> None:
    frames = synthetic_frames(480, 640, 2, seed=1)
    report = benchmark(small, frames=frames, protocol=replace(BRIEF, queries=10**6, max_seconds=0.05))
    assert any("samples of 1000000" in reason for reason in report.invalid_reasons)


def test_frames_of_another_size_are_refused(small: ModelFile) -> None:
    with pytest.raises(InputError, match=r"\(480, 640, 3\).*\(100, 100, 3\)"):
        benchmark(small, frames=synthetic_frames(100, 100, 1, seed=0), protocol=QUICK)


def test_no_frames_are_refused(small: ModelFile) -> None:
    with pytest.raises(InputError, match="got none"):
        benchmark(small, frames=[])


def test_the_total_is_the_sum_of_the_stages_sample_by_sample() -> None:
    result = _latency([4.0, 6.0])
    assert result.stage_ms("total") == [4.0, 6.0]
    assert result.stage_ms("invoke") == [2.5, 4.5]
    assert result.stages()["total"].p50_ms == 5.0


def test_ratios_are_the_baselines_over_the_models() -> None:
    record = benchmark_record(_report(_latency([5.0], size_bytes=1000), _latency([10.0], size_bytes=4000)))
    assert record["speedup_p50"] == 2.0
    assert record["size_ratio"] == 4.0


def test_samples_are_kept_in_whole_microseconds() -> None:
    report = _report(_latency([5.0004567, 6.0]), None)
    samples = benchmark_record(report)["samples"]
    assert samples["model"]["total"] == [5.0, 6.0]
    assert samples["model"]["invoke"] == [3.5, 4.5]
    assert samples["baseline"] is None


def test_each_model_has_its_own_energy_and_memory() -> None:
    model = replace(_latency([5.0]), energy=Energy(3, 4.0, 20.0), alone=Alone(12.0, 90))
    record = benchmark_record(_report(model, _latency([10.0])))
    assert record["energy"] == {"n": 3, "mean_watts": 4.0, "mj_per_frame": 20.0}
    assert record["peak_rss_bytes"] == 90
    assert (record["baseline"]["energy"], record["baseline"]["peak_rss_bytes"]) == (None, None)


def test_a_report_is_valid_when_nothing_speaks_against_it() -> None:
    assert benchmark_record(_report(_latency([5.0]), None))["valid"] is True
    spoiled = benchmark_record(_report(_latency([5.0]), None, ("why",)))
    assert (spoiled["valid"], spoiled["invalid_reasons"]) == (False, ["why"])


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
def test_samples_that_do_not_hold_are_told_with_their_figures(totals_ms: list[float], reason: str) -> None:
    assert any(reason in told for told in sample_reasons(_latency(totals_ms), BRIEF))


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
def test_a_protocol_that_measures_nothing_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        Protocol(**change)  # type: ignore[arg-type]


def test_the_protocol_is_mlperfs_single_stream_unless_told_otherwise() -> None:
    whole = protocol_for(BenchmarkSettings(quick=False))
    assert (whole.queries, whole.min_seconds) == (1024, 60)
    assert protocol_for(BenchmarkSettings()) == QUICK
    assert (QUICK.queries, QUICK.min_seconds) == (128, 10)
    told = protocol_for(BenchmarkSettings(queries=5, seconds=0))
    assert (told.queries, told.min_seconds, told.warm_up) == (5, 0, QUICK.warm_up)


def test_a_least_time_beyond_the_most_moves_the_most() -> None:
    assert protocol_for(BenchmarkSettings(seconds=5000)).max_seconds > 5000


@pytest.mark.parametrize(("text", "counts"), [("1", (1,)), ("4,2, 1", (4, 2, 1))])
def test_numbers_of_threads_are_read_in_their_order(text: str, counts: tuple[int, ...]) -> None:
    assert parse_thread_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1,,2", "1,1", "1.5", "²"])
def test_what_is_no_number_of_threads_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"such as 1,2,4, got"):
        parse_thread_counts(text)


def test_the_memory_of_a_model_is_that_of_a_process_of_its_own(small: ModelFile) -> None:
    here = peak_rss_bytes()
    if here is None:
        pytest.skip("this system does not tell how much memory a process has occupied")
    held = np.ones(256 * 2**20, np.uint8)
    alone = measure_alone(small, threads=1, height=480, width=640)
    assert alone.peak_rss_bytes is not None
    assert 10 * 2**20 < alone.peak_rss_bytes < held.nbytes
    assert alone.cold_start_ms > 0


def test_what_the_user_says_of_a_model_reaches_the_process_of_its_own(mobilenet_v1: ModelFile) -> None:
    measure_alone(mobilenet_v1, threads=1, height=48, width=64)
    with pytest.raises(EdgecnnError, match=r"alone failed: /.* does not specify its preprocessing"):
        measure_alone(read_model_file(mobilenet_v1.path), threads=1, height=48, width=64)


def test_a_process_that_cannot_classify_says_why_in_one_line(small: ModelFile, tmp_path: Path) -> None:
    absent = replace(small, path=tmp_path / "absent.tflite")
    with pytest.raises(EdgecnnError, match=r"absent\.tflite alone failed: .*no such model file") as raised:
        measure_alone(absent, threads=1, height=48, width=64)
    assert "\n" not in str(raised.value)


def test_synthetic_frames_are_pictures_that_a_seed_repeats() -> None:
    frames = synthetic_frames(48, 64, 2, seed=3)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    assert frames[0].dtype == np.uint8
    assert frames[0].std() > 20
    assert not np.array_equal(frames[0], frames[1])
    assert np.array_equal(frames[1], synthetic_frames(48, 64, 2, seed=3)[1])
