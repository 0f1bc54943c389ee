"""Files that edgecnn 0.1 wrote still open: a model file, a run folder, results, a benchmark report, a dataset.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import edgecnn
from edgecnn.core.images import read_image
from edgecnn.core.model_file.model_file import read_model_file
from edgecnn.core.run.run_folder import RunFolder
from edgecnn.data.dataset_note import read_note
from tests.cli.commands import json_lines_of, json_of, refusal, run_here

FIXTURES = Path(__file__).parent / "edgecnn-0.1"


@pytest.fixture
def run(few_digits: Path, tmp_path: Path) -> RunFolder:
    """Return a copy of the run folder that finds its photos, which are those of `few_digits`."""
    folder = RunFolder(shutil.copytree(FIXTURES / "run", tmp_path / "run"))
    folder.record_file.write_text(folder.record_file.read_text().replace('"PHOTOS"', json.dumps(str(few_digits))))
    return folder


def test_a_model_file_is_verified_and_classifies(few_digits: Path) -> None:
    model = FIXTURES / "run" / "export" / "run-int8.tflite"
    assert run_here("verify", model).status == 0
    assert run_here("inspect", model).status == 0
    for label in "012":
        photo = next((few_digits / "test" / label).iterdir())
        assert edgecnn.Classifier(read_model_file(model)).classify(read_image(photo)).best.label == label


def test_a_run_is_read_and_listed(run: RunFolder) -> None:
    assert edgecnn.load_run(run.path).qat is not None
    (listed,) = json_lines_of("runs", run.path.parent)
    assert listed["name"] == "run"


def test_an_export_of_an_old_run_gives_the_same_decisions(run: RunFolder) -> None:
    old = run.path / "export" / "run-int8.tflite"
    kept = shutil.copy(old, run.path.parent / "old.tflite")
    new = edgecnn.export(run.path, edgecnn.ExportSettings(precisions=("int8",)))[-1]
    evaluation = edgecnn.evaluate(new, baseline=kept)
    assert evaluation.paired is not None
    assert evaluation.paired.agreement == 1.0


def test_results_are_reported(run: RunFolder) -> None:
    assert run_here("report", run.path).status == 0
    page = run.report.read_text()
    assert "run-int8" in page and "run-float32" in page


def test_a_benchmark_report_is_compared() -> None:
    report = FIXTURES / "report.json"
    compared = json_of("compare", report, report)
    assert [each["model"] for each in compared["reports"]] == ["run-int8", "run-int8"]


def test_a_dataset_note_with_the_old_key_has_its_license() -> None:
    note = read_note(FIXTURES)
    assert note is not None and note.license == "CC0 1.0"


@pytest.mark.parametrize("file", ["run.json", "report.json"])
def test_a_newer_version_is_refused_in_one_line(file: str, run: RunFolder, tmp_path: Path) -> None:
    path = run.record_file if file == "run.json" else Path(shutil.copy(FIXTURES / file, tmp_path))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "format_version": 99}))
    line = refusal("report", run.path) if file == "run.json" else refusal("compare", path, path)
    assert "99" in line
