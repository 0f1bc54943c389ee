from __future__ import annotations

import json
from pathlib import Path

from edgecnn.core.run.run_folder import RunFolder
from tests.cli.commands import json_of, run_here


def test_a_model_in_a_run_folder_is_evaluated_on_the_runs_own_test_photos(run_with_models: RunFolder) -> None:
    model, float32 = (run_with_models.model_file("digits", precision) for precision in ("int8", "float32"))
    record = json_of("evaluate", model, "--baseline", float32)
    counts = json.loads(run_with_models.record_file.read_text())["dataset"]["counts"]
    assert record["n"] == counts["test"] == 364
    assert record["top1"] > 0.8
    assert record["paired"]["agreement"] > 0.9

    saved = run_with_models.results / "digits-int8.evaluation.json"
    assert json.loads(saved.read_text()) == record


def test_another_split_of_the_run_can_be_evaluated(run_with_models: RunFolder) -> None:
    record = json_of("evaluate", run_with_models.model_file("digits", "int8"), "--split", "validation")
    assert record["n"] == json.loads(run_with_models.record_file.read_text())["dataset"]["counts"]["validation"]


def test_a_benchmark_is_saved_with_its_samples(run_with_models: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "kept.json"
    model = run_with_models.model_file("digits", "int8")
    record = json_of("benchmark", model, "--queries", 16, "--seconds", 0, "--out", out)
    saved = json.loads((run_with_models.results / "digits-int8.benchmark.json").read_text())
    assert len(saved["samples"]["model"]["total"]) == record["stages"]["total"]["n"]
    assert saved == record
    assert json.loads(out.read_text()) == saved


def test_a_report_shows_what_was_saved(run_with_models: RunFolder, tmp_path: Path) -> None:
    model = run_with_models.model_file("digits", "int8")
    top1 = json_of("evaluate", model)["top1"]
    outcome = run_here("report", run_with_models.path)
    assert (outcome.status, outcome.stdout) == (0, f"{run_with_models.report}\n")
    page = run_with_models.report.read_text()
    assert "digits-int8" in page and f"{top1:.1%}" in page

    elsewhere = tmp_path / "pages" / "digits.html"
    assert run_here("report", run_with_models.path, "--out", elsewhere).stdout == f"{elsewhere}\n"
    assert elsewhere.read_text() == page


def test_a_model_outside_a_run_folder_leaves_nothing_behind(color_model: Path, color_photos: Path) -> None:
    outcome = run_here("evaluate", color_model, color_photos)
    assert not [line for line in outcome.log if line.startswith("saved")]
    assert list(color_model.parent.iterdir()) == [color_model]
