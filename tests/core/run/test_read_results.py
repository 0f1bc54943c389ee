from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.records.evaluation import EvaluationRecord
from edgecnn.core.run.run_folder import RunFolder
from edgecnn.core.run.saved_results import read_benchmarks, read_evaluations, save_result

EVALUATION = EvaluationRecord(
    n=1, top1=1.0, top5=1.0, auc_roc=None, per_class=(), confusion=(), baseline=None, paired=None, gate=None
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a folder that looks like a run."""
    folder = RunFolder(tmp_path / "run")
    folder.export.mkdir(parents=True)
    folder.record_file.touch()
    return folder


def test_results_are_read_as_they_were_saved(folder: RunFolder) -> None:
    for name in ("b", "a"):
        saved = save_result(folder.export / f"{name}.tflite", "evaluation", EVALUATION)
        assert saved == folder.results / f"{name}.evaluation.json"
    assert list(read_evaluations(folder).items()) == [("a", EVALUATION), ("b", EVALUATION)]
    assert read_benchmarks(folder) == {}


def test_a_result_of_a_model_outside_a_run_is_not_saved(tmp_path: Path) -> None:
    assert save_result(tmp_path / "m.tflite", "evaluation", EVALUATION) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("evaluation", "{", "is not valid JSON; run edgecnn evaluate again, or remove it"),
        ("evaluation", "[]x", "is not valid JSON"),
        ("evaluation", "{}", "is invalid: n: Field required"),
        ("benchmark", "7", "is not valid JSON; run edgecnn benchmark again, or remove it"),
        ("benchmark", json.dumps({"format_version": 1}), "is a benchmark report of format version 1, expected 2"),
    ],
)
def test_an_invalid_result_is_refused_in_one_line(folder: RunFolder, kind: str, content: str, message: str) -> None:
    folder.results.mkdir()
    path = folder.results / f"m.{kind}.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        read_evaluations(folder) if kind == "evaluation" else read_benchmarks(folder)
    assert str(raised.value).startswith(f"{path} is ") and "\n" not in str(raised.value)


def test_results_of_version_0_1_are_read_and_written_unchanged() -> None:
    folder = RunFolder(Path(__file__).parents[2] / "compatibility" / "edgecnn-0.1" / "run")
    kinds = {"evaluation": read_evaluations(folder), "benchmark": read_benchmarks(folder)}
    assert {kind: list(records) for kind, records in kinds.items()} == {
        "evaluation": ["run-float32", "run-int8"],
        "benchmark": ["run-int8"],
    }
    for kind, records in kinds.items():
        for name, record in records.items():
            saved = (folder.results / f"{name}.{kind}.json").read_text()
            assert json.dumps(record.to_json(), indent=1) + "\n" == saved
