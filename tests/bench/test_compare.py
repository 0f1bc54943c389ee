from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.benchmark_record import benchmark_record, read_benchmark
from edgecnn.bench.benchmark_report import BenchmarkReport, ModelLatency
from edgecnn.bench.bootstrap import MIN_TURNS, Ratio, Series, median_ratio
from edgecnn.bench.compare import agreement_of, compare_reports, comparison_record
from edgecnn.bench.conditions import Conditions, read_conditions
from edgecnn.bench.environment import describe_environment, read_machine_state
from edgecnn.bench.isolated_process import IsolatedResult
from edgecnn.bench.speed_gate import decide_speed_gate, enforce_speed, parse_percent
from edgecnn.core.errors import GateFailed, GateUndecided, InputError
from edgecnn.core.frame import StageLatency
from edgecnn.core.records.benchmark import DecisionRecord, ModelIdentity, Protocol
from edgecnn.core.records.comparison import Agreement

BLOCK = 16


def _record(p50_ms: float, *, turns: int = 40, board: str = "Raspberry Pi 4", sha256: str = "a") -> dict[str, Any]:
    """Return the record of a benchmark whose turns differ by a few percent."""
    random = np.random.default_rng(1)
    totals = p50_ms * np.repeat(random.uniform(0.98, 1.02, turns), BLOCK)
    samples = tuple(StageLatency(1.0, total - 1.5, 0.5) for total in totals.tolist())
    state = read_machine_state()
    identity = ModelIdentity(name="clothes-int8", sha256=sha256, size_bytes=4000, precision="int8", threads=2)
    report = BenchmarkReport(
        model=ModelLatency(identity, IsolatedResult(12.0, 90_000_000), samples),
        baseline=None,
        sweep=(),
        environment=describe_environment().model_copy(update={"board": board}),
        conditions=Conditions(state, state, (read_conditions(),) * 2, None, 80.0),
        protocol=Protocol(block=BLOCK),
        invalid_reasons=(),
        created=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    return benchmark_record(report).to_json()


def _write(path: Path, record: dict[str, Any]) -> Path:
    path.write_text(json.dumps(record))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return _write(tmp_path / "base.json", _record(10.0))


def test_a_report_is_read_as_it_was_written(base: Path) -> None:
    assert read_benchmark(base).to_json() == json.loads(base.read_text())
    report, record = read_benchmark(base), json.loads(base.read_text())
    assert report.model.name == "clothes-int8"
    assert report.environment.device == "Raspberry Pi 4"
    assert report.stages.total.p99_ms == record["stages"]["total"]["p99_ms"]
    assert list(report.samples.model.total) == record["samples"]["model"]["total"]
    assert (report.accuracy, report.decisions) == (None, None)


def test_every_report_is_compared_with_the_first(base: Path, tmp_path: Path) -> None:
    slower = _write(tmp_path / "slower.json", _record(12.0, board="Raspberry Pi 3"))
    faster = _write(tmp_path / "faster.json", _record(5.0))
    record = comparison_record(compare_reports([base, slower, faster])).to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    first, second, third = record["reports"]
    assert [each["path"] for each in record["reports"]] == [str(base), str(slower), str(faster)]
    assert (first["ratio_p50"], first["agreement"]) == (None, None)
    assert (first["device"], second["device"]) == ("Raspberry Pi 4", "Raspberry Pi 3")
    assert (first["threads"], first["size_bytes"], first["peak_rss_bytes"]) == (2, 4000, 90_000_000)
    assert first["fps"] == pytest.approx(100, rel=0.02)
    assert second["ratio_p50"]["ratio"] == pytest.approx(1.2, rel=1e-3)
    assert third["ratio_p50"]["ratio"] == pytest.approx(0.5, rel=1e-3)
    low, high = second["ratio_p50"]["ci95"]
    assert 1.15 < low < 1.2 < high < 1.25
    assert (record["gate"], record["warnings"]) == (None, [])


def test_the_same_seed_gives_the_same_interval(base: Path, tmp_path: Path) -> None:
    paths = [base, _write(tmp_path / "other.json", _record(12.0))]
    intervals = [compare_reports(paths, seed=seed).reports[1].ratio for seed in (0, 0, 1)]
    assert intervals[0] == intervals[1] != intervals[2]


def test_keys_of_a_newer_edgecnn_are_kept(tmp_path: Path) -> None:
    record = _record(10.0)
    record["humidity"] = record["environment"]["humidity"] = 0.5
    assert read_benchmark(_write(tmp_path / "newer.json", record)).to_json() == record


def test_keys_that_an_older_edgecnn_did_not_write_may_be_missing(base: Path, tmp_path: Path) -> None:
    record = _record(10.0)
    classes = [{"label": label, "precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1} for label in ("cat", "dog")]
    record["accuracy"] = {"n": 2, "top1": 1.0, "top5": 1.0, "macro_f1": 1.0, "auc_roc": 1.0}
    record["accuracy"] |= {"per_class": classes, "confusion": [[1, 0], [0, 1]]}
    comparison = comparison_record(compare_reports([base, _write(tmp_path / "older.json", record)]))
    assert comparison.reports[1].top1 == 1.0


@pytest.mark.parametrize(
    ("p50_ms", "error", "verdict"),
    [
        (10.2, None, "passed: "),
        (11.0, GateUndecided, "undecided: "),
        (12.0, GateFailed, "failed: "),
    ],
)
def test_the_gate_decides_by_the_interval(
    base: Path, tmp_path: Path, p50_ms: float, error: type[Exception] | None, verdict: str
) -> None:
    later = _write(tmp_path / "later.json", _record(p50_ms))
    gate = compare_reports([base, later], fail_above_percent=10).gate
    assert gate is not None
    assert gate.message.startswith(f"{verdict}{later} takes ")
    if error is None:
        enforce_speed(gate)
    else:
        with pytest.raises(error):
            enforce_speed(gate)


def test_one_failure_among_several_reports_fails_the_gate() -> None:
    passing, undecided, failing = Ratio(1.0, (0.9, 1.05)), Ratio(1.1, (1.0, 1.2)), Ratio(1.3, (1.2, 1.4))
    gate = decide_speed_gate("base", [("a", passing), ("b", failing), ("c", undecided)], 10)
    assert gate.passed is False
    verdict = "failed: b takes 130.0% of the time of base, 95% interval 120.0% to 140.0%"
    assert gate.message == f"{verdict}; up to 110.0% is allowed"
    assert decide_speed_gate("base", [("a", passing), ("c", undecided)], 10).passed is None
    assert decide_speed_gate("base", [("a", passing)], 10).passed is True


def test_too_few_samples_leave_the_gate_undecided(base: Path, tmp_path: Path) -> None:
    few = _write(tmp_path / "few.json", _record(30.0, turns=MIN_TURNS - 1))
    comparison = compare_reports([base, few], fail_above_percent=10)
    assert comparison.reports[1].ratio == Ratio(pytest.approx(3, rel=0.02), None)
    assert comparison.gate is not None and comparison.gate.passed is None
    assert "too few samples for an interval" in comparison.gate.message


@pytest.mark.parametrize(("text", "percent"), [("10%", 10), ("7.5 %", 7.5), (" 0", 0)])
def test_percentages_are_parsed_with_or_without_their_sign(text: str, percent: float) -> None:
    assert parse_percent(text) == percent


@pytest.mark.parametrize("text", ["", "ten", "%"])
def test_an_invalid_percentage_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected a percentage such as 10%"):
        parse_percent(text)


@pytest.mark.parametrize("percent", [-1.0, float("nan"), float("inf")])
def test_a_negative_or_infinite_limit_is_refused(base: Path, percent: float) -> None:
    with pytest.raises(InputError, match="expected a limit of 0 % or more"):
        compare_reports([base, base], fail_above_percent=percent)


def _decisions(*predicted: str, first: int = 0) -> tuple[DecisionRecord, ...]:
    return tuple(
        DecisionRecord(sha256=f"{number:02}", label="cat", predicted=each, score=0.9)
        for number, each in enumerate(predicted, start=first)
    )


def test_decisions_are_compared_photo_by_photo() -> None:
    agreement = agreement_of(_decisions("cat", "dog", "cat", "cat"), _decisions("cat", "cat", "cat", "dog")[::-1])
    assert agreement == Agreement(n=4, agreement=0.5, differing=("01", "03"))


def test_only_photos_in_both_reports_are_compared() -> None:
    agreement = agreement_of(_decisions("cat", "dog", "cat"), _decisions("dog", "dog", "cat", first=1))
    assert agreement == Agreement(n=2, agreement=0.5, differing=("02",))
    assert agreement_of(_decisions("cat"), _decisions("cat", first=1)) is None
    assert agreement_of(None, _decisions("cat")) is None


def test_reports_of_different_models_are_compared_with_a_warning(base: Path, tmp_path: Path) -> None:
    other = _write(tmp_path / "other.json", _record(12.0, sha256="b"))
    (warning,) = compare_reports([base, other]).warnings
    assert warning == f"{other} and {base} measured different model files, clothes-int8 and clothes-int8"


def test_an_invalid_measurement_is_compared_with_a_warning(base: Path, tmp_path: Path) -> None:
    disturbed = _write(tmp_path / "x.json", {**_record(12.0), "valid": False, "invalid_reasons": ["hot", "busy"]})
    (warning,) = compare_reports([base, disturbed]).warnings
    assert warning == f"{disturbed} is not a valid measurement: hot (and 1 more)"


def test_reports_without_common_photos_are_compared_with_a_warning(tmp_path: Path) -> None:
    paths = []
    for photo in ("a", "b"):
        decision = {"sha256": photo, "label": "cat", "predicted": "cat", "score": 0.9}
        paths.append(_write(tmp_path / f"{photo}.json", {**_record(10.0), "decisions": [decision]}))
    (warning,) = compare_reports(paths).warnings
    assert "no photo in common" in warning


@pytest.mark.parametrize("version", [1, 3, None])
def test_a_report_of_another_format_version_is_refused_in_one_line(base: Path, tmp_path: Path, version: object) -> None:
    other = _write(tmp_path / "other.json", {**_record(10.0), "format_version": version})
    with pytest.raises(InputError) as raised:
        compare_reports([base, other])
    line = f"{other} is a benchmark report of format version {version}, expected 2; measure again with this edgecnn"
    assert str(raised.value) == line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a benchmark report"),
        ('{"n": 3, "top1": 0.5}', "is not a benchmark report"),
        ('{"format_version": 2, "stages": {}}', "is an incomplete benchmark report: created: "),
    ],
)
def test_a_file_that_is_not_a_report_is_refused(base: Path, tmp_path: Path, content: str, message: str) -> None:
    other = tmp_path / "other.json"
    other.write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        compare_reports([base, other])
    assert "\n" not in str(raised.value)


def test_a_missing_report_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such report: .*absent\.json; write one with edgecnn benchmark"):
        compare_reports([base, tmp_path / "absent.json"])
    with pytest.raises(InputError, match=f"cannot read {tmp_path}: Is a directory"):
        compare_reports([base, tmp_path])


def test_a_single_report_is_refused(base: Path) -> None:
    with pytest.raises(InputError, match="two reports or more to compare, got 1"):
        compare_reports([base])


times_ms = st.lists(st.floats(0.1, 100), min_size=MIN_TURNS * 4, max_size=80)


@given(times_ms, st.sampled_from([0.25, 2.0, 8.0]))
def test_the_ratio_of_a_uniformly_slower_machine_is_its_factor(times: list[float], factor: float) -> None:
    first, later = Series(times, 4), Series([factor * each for each in times], 4)
    ratio, same = median_ratio(later, first, seed=0), median_ratio(first, first, seed=0)
    assert ratio.value == pytest.approx(factor)
    assert ratio.ci95 is not None and same.ci95 is not None
    assert ratio.ci95 == pytest.approx([factor * bound for bound in same.ci95])
    assert ratio.ci95[0] <= ratio.ci95[1]


def test_differing_turns_widen_the_interval_regardless_of_their_number_of_samples() -> None:
    random = np.random.default_rng(0)
    levels = random.uniform(9, 11, 20)
    few, many = (Series(np.repeat(levels, block).tolist(), block) for block in (2, 200))
    widths = []
    for series in (few, many):
        interval = median_ratio(series, series, seed=0).ci95
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] == pytest.approx(widths[0], rel=0.2)
    assert widths[1] > 0.02
