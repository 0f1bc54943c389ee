from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgecnn.core.run.run_folder import RunFolder
from tests.cli.commands import TIMEOUT_S, json_of, refusal, run_here
from tests.colors import write_color_model

BRIEF = ("--queries", 128, "--seconds", 0)
"""Eight turns, the minimum for an interval."""
STAGES = ["preprocess", "invoke", "postprocess", "total"]


@pytest.fixture(scope="module")
def reports(color_model: Path, color_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two reports of one model on the same photos."""
    folder = tmp_path_factory.mktemp("reports")
    paths = [folder / "first.json", folder / "second.json"]
    for path in paths:
        json_of("benchmark", color_model, *BRIEF, "--data", color_photos, "--limit", 9, "--out", path)
    return paths


def test_the_json_object_contains_every_measurement(color_model: Path, color_photos: Path, tmp_path: Path) -> None:
    baseline = write_color_model(tmp_path / "mistaken.tflite", ("red", "blue", "green"))
    out = tmp_path / "report.json"
    options = ("--baseline", baseline, "--threads", "2,1", "--data", color_photos, "--limit", 30, "--out", out)
    record = json_of("benchmark", color_model, *BRIEF, *options)
    assert json.loads(out.read_text()) == record
    assert record["format_version"] == 2
    assert (record["model"]["threads"], record["baseline"]["threads"]) == (2, 2)
    assert [run["threads"] for run in record["sweep"]] == [2, 1]
    assert list(record["stages"]) == list(record["samples"]["model"]) == STAGES
    assert len(record["samples"]["model"]["total"]) == len(record["samples"]["baseline"]["total"]) == 128
    assert len(record["samples"]["sweep"]["1"]["total"]) == 128
    assert record["photos"] == {"found": 180, "measured": 30, "limit": 30, "seed": 0}
    assert (record["accuracy"]["top1"], record["baseline"]["accuracy"]["top1"]) == (1.0, 1 / 3)
    assert record["paired"]["agreement"] == pytest.approx(1 / 3)
    assert all(photo["label"] == photo["predicted"] for photo in record["decisions"])
    photos = [photo["sha256"] for photo in record["decisions"]]
    assert len(set(photos)) == 30
    assert [photo["sha256"] for photo in record["baseline"]["decisions"]] == photos
    assert record["valid"] == (not record["invalid_reasons"])


def test_omitted_measurements_are_null(color_model: Path) -> None:
    record = json_of("benchmark", color_model, *BRIEF)
    absent = ("baseline", "accuracy", "decisions", "photos", "paired", "speedup_p50", "size_ratio")
    assert [record[key] for key in absent] == [None] * len(absent)
    assert (record["sweep"], record["samples"]["sweep"]) == ([], {})


def test_the_table_shows_threads_memory_and_accuracy(color_model: Path, color_photos: Path) -> None:
    outcome = run_here("benchmark", color_model, *BRIEF, "--threads", "1,2", "--data", color_photos)
    assert "by number of threads, colors" in outcome.stdout
    assert "times as fast" in outcome.stdout
    assert "colors: cold start " in outcome.stdout
    assert "top-1 1.0000 on 180 photos" in outcome.stdout
    assert "measuring latency: 256 done" in outcome.log
    assert "classifying: 180 done" in outcome.log


def test_the_energy_per_frame_is_shown_if_the_board_measures_it(
    color_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "  VDD_CORE_A current(7)=2.50000000A\n  VDD_CORE_V volt(15)=0.80000000V\n"
    command = tmp_path / "vcgencmd"
    command.write_text(f"#!/bin/sh\n[ $1 = pmic_read_adc ] && printf '{answer}' || echo throttled=0x0\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    shown = run_here("benchmark", color_model, "--queries", 1, "--seconds", 5).stdout
    assert "2.00 W, " in shown and " mJ per frame" in shown


def test_the_report_of_a_run_includes_a_sweep(run_with_models: RunFolder) -> None:
    model = run_with_models.model_file("digits", "int8")
    assert run_here("benchmark", model, *BRIEF, "--threads", "1,2").status == 0
    assert run_here("report", run_with_models.path).status == 0
    page = run_with_models.report.read_text()
    assert "By number of threads" in page
    assert " of memory at most" in page


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--threads", "0"), "expected threads as different numbers of 1 or more, such as 1,2,4, got '0'"),
        (("--limit", 5), "expected a folder of photos to choose 5 from, got none; give it with --data"),
        (("--data", "absent"), "no such folder: absent; expected a folder of class folders with photos in them"),
    ],
)
def test_invalid_options_are_refused(options: tuple[object, ...], line: str, color_model: Path) -> None:
    assert refusal("benchmark", color_model, *options) == line


def test_labels_that_the_baseline_lacks_are_refused_before_measuring(
    color_model: Path, color_photos: Path, tmp_path: Path
) -> None:
    other = write_color_model(tmp_path / "other.tflite", ("red", "green", "violet"))
    line = refusal("benchmark", color_model, "--baseline", other, "--data", color_photos)
    assert "'blue' is not a class of" in line


@contextmanager
def on_a_terminal(*arguments: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield a running command whose stderr is a terminal, and the other end of that terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edgecnn", *(str(argument) for argument in arguments)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def _read_until(terminal: int, text: str) -> str:
    """Return what the terminal shows until `text` appears, or until its end."""
    shown, deadline = "", time.monotonic() + TIMEOUT_S
    while text not in shown and time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            # Linux raises this once the other end of the terminal is closed.
            break
    return shown


def test_an_interrupted_benchmark_leaves_one_line_and_no_file(run_with_models: RunFolder, tmp_path: Path) -> None:
    out, model = tmp_path / "report.json", run_with_models.model_file("digits", "int8")
    with on_a_terminal("benchmark", model, "--out", out, "--json") as (process, terminal):
        assert "measuring latency" in _read_until(terminal, "measuring latency")
        process.send_signal(signal.SIGINT)
        line = "interrupted before the measurement was complete; nothing was written"
        shown = _read_until(terminal, line)
        stdout, _ = process.communicate(timeout=TIMEOUT_S)
    assert line in shown and "Traceback" not in shown
    assert process.returncode == 130
    assert stdout == b""
    assert not out.exists() and not run_with_models.results.exists()


def test_two_reports_are_compared(reports: list[Path], color_model: Path) -> None:
    record = json_of("compare", *reports)
    first, second = record["reports"]
    assert [first["path"], second["path"]] == [str(path) for path in reports]
    assert (first["model"], first["size_bytes"]) == ("colors", color_model.stat().st_size)
    assert (first["ratio_p50"], first["agreement"]) == (None, None)
    low, high = second["ratio_p50"]["ci95"]
    assert low <= high
    assert second["agreement"] == {"n": 9, "agreement": 1.0, "differing": []}
    assert record["gate"] is None


def test_a_comparison_is_shown_as_tables(reports: list[Path]) -> None:
    shown = run_here("compare", *reports).stdout
    cells = ("colors", "fps", "memory", "same decisions", "p50 / first", "100.0% of 9", str(reports[1]))
    assert [cell for cell in cells if cell not in shown] == []


def _times(report: Path, factor: float, target: Path) -> Path:
    """Write a copy of the report with all total times multiplied by `factor`, as from a slower machine."""
    record: dict[str, Any] = json.loads(report.read_text())
    totals = [10 * factor + 0.001 * (number % 7) for number in range(128)]
    record["samples"]["model"]["total"] = totals
    target.write_text(json.dumps(record))
    return target


@pytest.mark.parametrize(("factor", "status", "word"), [(1.0, 0, "passed"), (1.3, 3, "failed")])
def test_the_gate_decides_the_exit_status(
    reports: list[Path], tmp_path: Path, factor: float, status: int, word: str
) -> None:
    base = _times(reports[0], 1.0, tmp_path / "base.json")
    later = _times(reports[1], factor, tmp_path / "later.json")
    outcome = run_here("compare", base, later, "--fail-above", "10%", "--json")
    assert outcome.status == status
    assert json.loads(outcome.stdout)["gate"] == {"fail_above_percent": 10.0, "passed": status == 0}
    assert f"{word}: {later} takes " in outcome.log[-1]


def test_a_gate_inside_the_interval_exits_with_status_4(reports: list[Path], tmp_path: Path) -> None:
    base = _times(reports[0], 1.0, tmp_path / "base.json")
    record = json.loads(base.read_text())
    # Half of the turns are twice as slow, so the median may be either time.
    record["samples"]["model"]["total"] = [10.0 + 10.0 * (number // 16 % 2) for number in range(128)]
    unsteady = tmp_path / "unsteady.json"
    unsteady.write_text(json.dumps(record))
    outcome = run_here("compare", base, unsteady, "--fail-above", "10%")
    assert outcome.status == 4
    assert outcome.errors == [outcome.log[-1]]
    assert "undecided: " in outcome.log[-1] and outcome.log[-1].endswith("; measure longer")


def test_comparing_different_models_warns(reports: list[Path], tmp_path: Path) -> None:
    record = json.loads(reports[1].read_text())
    record["model"] |= {"sha256": "0", "name": "another"}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(record))
    outcome = run_here("compare", reports[0], other)
    assert outcome.status == 0
    warning = f"warning: {other} and {reports[0]} measured different model files, another and colors"
    assert warning in outcome.log


def test_incomparable_files_are_refused_in_one_line(reports: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text(json.dumps({**json.loads(reports[0].read_text()), "format_version": 1}))
    assert "is a benchmark report of format version 1, expected 2" in refusal("compare", reports[0], old)
    assert refusal("compare", reports[0]) == "expected two reports or more to compare, got 1"
    assert "percentage such as 10%, got 'x'" in refusal("compare", *reports, "--fail-above", "x")
