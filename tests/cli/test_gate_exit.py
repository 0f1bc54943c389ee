from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import Outcome, refusal, run_here
from tests.colors import write_color_model, write_color_photos


def gated(model: Path, baseline: Path, photos: Path, points: float) -> Outcome:
    return run_here("evaluate", model, photos, "--baseline", baseline, "--max-drop", points, "--json")


def test_a_model_that_loses_nothing_passes(color_model: Path, color_photos: Path, tmp_path: Path) -> None:
    outcome = gated(write_color_model(tmp_path / "small.tflite"), color_model, color_photos, 5)
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["gate"] == {"max_drop": 5.0, "passed": True}
    assert outcome.log[-1].startswith("passed: top-1 changes by +0.00 points")


def test_a_model_that_confuses_classes_fails_with_status_3(
    color_model: Path, color_photos: Path, tmp_path: Path
) -> None:
    mistaken = write_color_model(tmp_path / "mistaken.tflite", ("red", "blue", "green"))
    outcome = gated(mistaken, color_model, color_photos, 5)
    assert outcome.status == 3
    record = json.loads(outcome.stdout)
    assert record["gate"] == {"max_drop": 5.0, "passed": False}
    assert (record["n"], record["top1"], record["baseline"]["top1"]) == (180, 1 / 3, 1.0)
    assert outcome.errors == [outcome.log[-1]]
    assert "failed: top-1 changes by -66.67 points" in outcome.log[-1]


def test_too_few_photos_exit_with_status_4_and_report_how_many_are_needed(color_model: Path, tmp_path: Path) -> None:
    few = write_color_photos(tmp_path / "few", 2)
    outcome = gated(color_model, color_model, few, 1)
    assert outcome.status == 4
    assert json.loads(outcome.stdout)["gate"] == {"max_drop": 1.0, "passed": None}
    assert outcome.errors == [outcome.log[-1]]
    assert "evaluate on about 276 photos, or allow more" in outcome.log[-1]


def test_a_gate_needs_a_baseline(color_model: Path, color_photos: Path) -> None:
    line = refusal("evaluate", color_model, color_photos, "--max-drop", 1)
    assert line == "a gate of 1 points compares two models, got one; give the other with --baseline"


def test_a_drop_is_a_number_of_points(color_model: Path, color_photos: Path) -> None:
    line = refusal("evaluate", color_model, color_photos, "--baseline", color_model, "--max-drop", -1)
    assert line == "expected a largest drop of 0 to 100 percentage points, such as 1.0, got -1"
