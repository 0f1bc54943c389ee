from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import Outcome, refusal, run_here
from tests.colours import write_colour_model, write_colour_photos


def gated(model: Path, baseline: Path, photos: Path, points: float) -> Outcome:
    return run_here("evaluate", model, photos, "--baseline", baseline, "--max-drop", points, "--json")


def test_a_model_that_loses_nothing_passes(colour_model: Path, colour_photos: Path, tmp_path: Path) -> None:
    outcome = gated(write_colour_model(tmp_path / "small.tflite"), colour_model, colour_photos, 5)
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["gate"] == {"max_drop": 5.0, "passed": True}
    assert outcome.told[-1].startswith("passed: top-1 changes by +0.00 points")


def test_a_model_that_mistakes_a_class_fails_with_status_3(
    colour_model: Path, colour_photos: Path, tmp_path: Path
) -> None:
    mistaken = write_colour_model(tmp_path / "mistaken.tflite", ("red", "blue", "green"))
    outcome = gated(mistaken, colour_model, colour_photos, 5)
    assert outcome.status == 3
    record = json.loads(outcome.stdout)
    assert record["gate"] == {"max_drop": 5.0, "passed": False}
    assert (record["n"], record["top1"], record["baseline"]["top1"]) == (180, 1 / 3, 1.0)
    assert outcome.errors == [outcome.told[-1]]
    assert "failed: top-1 changes by -66.67 points" in outcome.told[-1]


def test_too_few_photos_leave_with_status_4_and_say_how_many_would_do(colour_model: Path, tmp_path: Path) -> None:
    few = write_colour_photos(tmp_path / "few", 2)
    outcome = gated(colour_model, colour_model, few, 1)
    assert outcome.status == 4
    assert json.loads(outcome.stdout)["gate"] == {"max_drop": 1.0, "passed": None}
    assert outcome.errors == [outcome.told[-1]]
    assert "evaluate on about 276 photos, or allow more" in outcome.told[-1]


def test_a_gate_needs_a_baseline(colour_model: Path, colour_photos: Path) -> None:
    line = refusal("evaluate", colour_model, colour_photos, "--max-drop", 1)
    assert line == "a gate of 1 points compares two models, got one; give the other with --baseline"


def test_a_drop_is_a_number_of_points(colour_model: Path, colour_photos: Path) -> None:
    line = refusal("evaluate", colour_model, colour_photos, "--baseline", colour_model, "--max-drop", -1)
    assert line == "expected a largest drop of 0 to 100 percentage points, such as 1.0, got -1"
