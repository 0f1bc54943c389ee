from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.core.run.run_folder import RunFolder
from tests.cli.commands import json_lines_of, refusal, run_here

RUN = {
    *("path", "name", "created", "status", "backbone", "classes", "data", "dataset", "height", "width", "epochs"),
    *("metrics", "qat", "exported"),
}


@pytest.fixture
def listed_run(trained_copy: RunFolder) -> RunFolder:
    """Return a trained run with two files in its export folder."""
    trained_copy.export.mkdir()
    for precision in ("float32", "int8"):
        trained_copy.model_file("digits", precision).write_bytes(b"any")
    return trained_copy


def test_runs_are_shown_in_a_table(listed_run: RunFolder) -> None:
    shown = run_here("runs", listed_run.path.parent).stdout
    assert all(word in shown for word in ("digits", "efficientnet_lite0", "64x64", " head ", "complete"))
    assert "float32, int8" in shown
    assert [line.strip() for line in shown.splitlines() if line.strip() in ("validation", "test")] == [
        "validation",
        "test",
    ]


def test_a_run_is_one_object_per_line(listed_run: RunFolder) -> None:
    (line,) = json_lines_of("runs", listed_run.path, "--sort", "test_accuracy")
    assert set(line) == RUN
    assert set(line["epochs"]) == {"head"} and line["epochs"]["head"] >= 1
    assert [Path(file["path"]).name for file in line["exported"]] == ["digits-float32.tflite", "digits-int8.tflite"]


def test_a_corrupted_run_is_reported_on_stderr(listed_run: RunFolder) -> None:
    broken = listed_run.path.parent / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    outcome = run_here("runs", broken.parent)
    assert outcome.status == 0
    assert "digits" in outcome.stdout and "broken" not in outcome.stdout
    assert outcome.log == [f"skipped: {broken}/run.json is not valid JSON; train again"]


def test_without_runs_the_command_explains_how_to_create_one(tmp_path: Path) -> None:
    outcome = run_here("runs", tmp_path)
    assert (outcome.status, outcome.stdout) == (0, "")
    assert outcome.log == [f"no runs in {tmp_path}: edgecnn train DATA --out {tmp_path}/NAME creates one"]
    assert "expected a folder with runs" in refusal("runs", tmp_path / "none")


def test_an_unknown_metric_is_refused(listed_run: RunFolder) -> None:
    assert "did you mean 'test_accuracy'" in refusal("runs", listed_run.path, "--sort", "test_acuracy")


def test_runs_are_listed_without_tensorflow(listed_run: RunFolder) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from edgecnn.cli import app;"
        f"assert CliRunner().invoke(app, ['runs', {str(listed_run.path)!r}]).exit_code == 0;"
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
