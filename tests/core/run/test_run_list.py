from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.run.run_folder import RUN_FILE, RUN_VERSION, RunFolder, read_run, write_run
from edgecnn.core.run.run_list import best_first, epochs_by_phase, list_runs, metric_names, run_summary_record

Write = Callable[..., Path]


@pytest.fixture
def write(trained_run: Path) -> Write:
    """Return a function that writes the record of a trained run with other metrics and a given day of January."""
    _, record = read_run(trained_run)

    def write_record(path: Path, day: int = 1, **metrics: float) -> Path:
        changes = {"name": path.name, "created": datetime(2026, 1, day, tzinfo=UTC), "metrics": metrics}
        write_run(RunFolder(path), record.model_copy(update=changes))
        return path

    return write_record


def names(folder: Path) -> list[str]:
    return [run.record.name for run in list_runs(folder).runs]


def test_runs_are_found_at_any_depth_newest_first(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "old", 1)
    write(tmp_path / "clothes" / "wide" / "new", 3)
    write(tmp_path / "clothes" / "middle", 2)
    (tmp_path / "photos").mkdir()
    assert names(tmp_path) == ["new", "middle", "old"]
    assert names(tmp_path / "clothes" / "middle") == ["middle"]


def test_runs_in_hidden_folders_are_ignored(write: Write, tmp_path: Path) -> None:
    write(tmp_path / ".trash" / "gone")
    assert names(tmp_path) == []


def test_a_run_lists_its_model_files_and_phases(write: Write, tmp_path: Path) -> None:
    run = RunFolder(write(tmp_path / "cats", test_accuracy=0.5))
    run.export.mkdir()
    run.model_file("cats", "int8").write_bytes(b"1234")
    (listed,) = list_runs(tmp_path).runs
    assert epochs_by_phase(listed.record) == {"head": len(listed.record.history)}
    record = json.loads(json.dumps(run_summary_record(listed)))
    assert record["exported"] == [{"path": str(run.model_file("cats", "int8")), "size_bytes": 4}]
    assert (record["classes"], record["height"], record["width"]) == (10, 64, 64)
    assert record["metrics"] == {"test_accuracy": 0.5}


def test_unreadable_runs_are_reported_next_to_the_others(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "good")
    for name, content in (
        ("truncated", '{"format_version": '),
        ("later", '{"format_version": 99}'),
        ("odd", json.dumps({"format_version": RUN_VERSION, "color": "blue"})),
    ):
        write(tmp_path / name)
        (tmp_path / name / RUN_FILE).write_text(content)
    listed = list_runs(tmp_path)
    assert [run.record.name for run in listed.runs] == ["good"]
    later, odd, truncated = sorted(listed.problems)
    assert f"{tmp_path / 'truncated' / RUN_FILE} is not valid JSON" in truncated
    assert f"{tmp_path / 'later'} is a run folder of version 99" in later
    assert f"{tmp_path / 'odd' / RUN_FILE} is invalid: name: Field required" in odd
    assert all("\n" not in problem for problem in listed.problems)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    assert list_runs(tmp_path).problems == (f"{tmp_path / 'locked'}: Permission denied",)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder with runs, got .*runs; make a run with"):
        list_runs(tmp_path / "runs")


def test_the_best_run_is_first_and_a_run_without_the_metric_last(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "a", 4, test_accuracy=0.7, test_ece=0.03)
    write(tmp_path / "b", 3)
    write(tmp_path / "c", 2, test_accuracy=0.9, test_ece=0.05)
    runs = list_runs(tmp_path).runs
    assert [run.record.name for run in best_first(runs, "test_accuracy")] == ["c", "a", "b"]
    assert [run.record.name for run in best_first(runs, "test_ece")] == ["a", "c", "b"]


def test_an_unknown_metric_is_refused_with_a_suggestion(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "a", validation_accuracy=0.8, test_accuracy=0.7)
    runs = list_runs(tmp_path).runs
    assert metric_names(runs) == ("validation_accuracy", "test_accuracy")
    with pytest.raises(UnknownName, match="did you mean 'test_accuracy'"):
        best_first(runs, "test_acuracy")
    assert best_first((), "test_acuracy") == ()
