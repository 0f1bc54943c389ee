"""A full disk, simulated by a limit on file sizes, leaves existing files unchanged and no incomplete files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.core.run.run_folder import RunFolder
from tests.cli.commands import Outcome, finish, run_here

resource = pytest.importorskip("resource")

_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({bytes}, {bytes}))
sys.argv[0] = "edgecnn"
from edgecnn.cli import main
main()
"""


def run_limited(bytes_allowed: int, *arguments: object, **environment: str) -> Outcome:
    """Run a command that cannot write a file larger than `bytes_allowed`; pipes are not limited."""
    script = _LIMITED.format(bytes=bytes_allowed)
    command = [sys.executable, "-B", "-c", script, *(str(argument) for argument in arguments)]
    return finish(
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
        )
    )


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files below a folder, including hidden ones, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(outcome: Outcome, target: Path) -> None:
    assert outcome.status == 1, outcome
    assert outcome.stdout == ""
    assert outcome.errors == [outcome.log[-1]]
    assert outcome.log[-1].startswith(f"error: could not write {target}: ")
    assert "nothing was changed; free some space or choose another folder" in outcome.log[-1]


def test_training_leaves_no_run_and_resumes_once_there_is_space(few_digits: Path, tmp_path: Path) -> None:
    options = ("--height", 32, "--epochs", 1)
    # This training fills the cache, so that the next one writes no file to it.
    assert run_here("train", few_digits, "--out", tmp_path / "whole", *options).status == 0
    run = RunFolder(tmp_path / "run")
    outcome = run_limited(4_000_000, "train", few_digits, "--out", run.path, *options)
    check_refused(outcome, run.float_weights)
    assert not run.record_file.exists()
    assert not run.float_weights.exists()
    assert "is not a run folder" in run_here("export", run.path).stderr
    assert run_here("train", few_digits, "--out", run.path, *options, "--resume").status == 0
    assert run.float_weights.read_bytes() == RunFolder(tmp_path / "whole").float_weights.read_bytes()


def test_a_cache_that_cannot_be_written_is_named(few_digits: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    outcome = run_limited(
        4_000_000, "train", few_digits, "--out", tmp_path / "run", "--height", 32, EDGECNN_CACHE=str(cache)
    )
    assert outcome.status == 1
    assert outcome.errors[0].startswith(f"error: could not write {cache}/features-")


def test_quantization_aware_training_leaves_the_run_unchanged(trained_copy: RunFolder, tmp_path: Path) -> None:
    whole = shutil.copytree(trained_copy.path, tmp_path / "whole")
    assert run_here("qat", whole, "--epochs", 0, "--calibration-images", 4).status == 0
    before = files_in(trained_copy.path)
    outcome = run_limited(4_000_000, "qat", trained_copy.path, "--epochs", 0, "--calibration-images", 4)
    check_refused(outcome, trained_copy.qat_weights)
    assert files_in(trained_copy.path) == before


def test_an_export_leaves_no_model_file(trained_copy: RunFolder) -> None:
    before = files_in(trained_copy.path)
    outcome = run_limited(4_000_000, "export", trained_copy.path, "--float32")
    check_refused(outcome, trained_copy.model_file("digits", "float32"))
    assert files_in(trained_copy.path) == before


def test_an_evaluation_keeps_the_previous_result(run_with_models: RunFolder) -> None:
    model = run_with_models.model_file("digits", "int8")
    assert run_here("evaluate", model).status == 0
    before = files_in(run_with_models.path)
    outcome = run_limited(512, "evaluate", model)
    check_refused(outcome, run_with_models.results / "digits-int8.evaluation.json")
    assert files_in(run_with_models.path) == before


def test_a_benchmark_leaves_no_report(run_with_models: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "benchmark.json"
    model = run_with_models.model_file("digits", "int8")
    outcome = run_limited(512, "benchmark", model, "--queries", 16, "--seconds", 0, "--out", out)
    check_refused(outcome, out)
    assert not out.exists()
    assert not run_with_models.results.exists()


def test_a_report_keeps_the_previous_page(run_with_models: RunFolder) -> None:
    run_with_models.report.write_text("an older page")
    outcome = run_limited(512, "report", run_with_models.path)
    check_refused(outcome, run_with_models.report)
    assert run_with_models.report.read_text() == "an older page"
    assert sorted(path.name for path in run_with_models.path.iterdir()) == ["export", "report.html", "run.json"]
