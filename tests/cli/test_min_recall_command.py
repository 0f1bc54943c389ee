from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.dataset import VALIDATION
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.model_file import read_model_file
from edgecnn.core.precision import Precision
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import RunFolder, read_run
from tests.cli.commands import Outcome, json_of, refusal, run_here
from tests.colors import COLORS, write_color_model
from tests.pixel_model import pixel_card, with_threshold

RECALL = 0.99
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a copy of the run of handwritten digits, whose files the tests of this module share."""
    return RunFolder(shutil.copytree(trained_run, tmp_path_factory.mktemp("eights") / "digits"))


@pytest.fixture(scope="module")
def export(run: RunFolder) -> Outcome:
    """Export the run with a recall for eights, which must not be missed."""
    return run_here("export", run.path, "--int8", "--min-recall", f"8={RECALL}")


def card_of(run: RunFolder, precision: Precision) -> ModelCard:
    card = read_model_file(run.model_file("digits", precision)).card
    assert card is not None
    return card


def test_export_prints_the_cost_of_the_recall(export: Outcome, run: RunFolder) -> None:
    assert (export.status, export.errors) == (0, [])
    eights = dataset_of_run(read_run(run.path)[1]).class_counts(VALIDATION)["8"]
    assert f"8: recall of at least 0.99, picked on its {eights} validation photos" in export.stdout
    for precision in PRECISIONS:
        picked = card_of(run, precision).threshold
        assert picked is not None
        assert (picked.label, picked.min_recall, picked.photos) == ("8", RECALL, eights)
        (line,) = [line for line in export.stdout.splitlines() if line.startswith(f"│ digits-{precision}.tflite")]
        figures = (picked.threshold, picked.recall_before, picked.recall, picked.precision_before, picked.precision)
        assert all(f"{figure:.4f}" in line for figure in figures)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_file_reaches_the_requested_recall(precision: Precision, export: Outcome, run: RunFolder) -> None:
    card = card_of(run, precision)
    assert card.threshold is not None
    record = json_of("evaluate", run.model_file("digits", precision), "--split", VALIDATION)
    (eights,) = [entry for entry in record["per_class"] if entry["label"] == "8"]
    assert eights["recall"] == pytest.approx(card.threshold.recall) and eights["recall"] >= RECALL
    assert eights["precision"] == pytest.approx(card.threshold.precision)
    assert record["threshold"] == card.threshold.model_dump(mode="json")
    # The metrics in the card apply with the threshold.
    assert card.metrics == pytest.approx({"validation_accuracy": record["top1"], "validation_images": record["n"]})


@pytest.mark.parametrize("precision", PRECISIONS)
def test_its_golden_vectors_are_ranked_by_the_threshold(precision: Precision, export: Outcome, run: RunFolder) -> None:
    assert json_of("verify", run.model_file("digits", precision))["passed"]


def test_inspect_and_evaluate_show_the_threshold(export: Outcome, run: RunFolder) -> None:
    file, picked = run.model_file("digits", "int8"), card_of(run, "int8").threshold
    assert picked is not None
    rule = f"8 at a score of {picked.threshold:.4f} or more"
    assert rule in run_here("inspect", file).stdout
    assert f"digits-int8.tflite decides on {rule}, picked for a recall of 0.99" in run_here("evaluate", file).stdout


def test_the_decisions_of_a_benchmark_apply_the_threshold(tmp_path: Path) -> None:
    card = with_threshold(pixel_card(1, 1, COLORS), "green", 0.25)
    model, out = write_color_model(tmp_path / "m.tflite", card=card), tmp_path / "benchmark.json"
    # A byte of 144 is a score of 0.25.
    for shade, name in ((143, "red"), (144, "green")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / name / "0.png"), np.full((8, 8, 3), (0, shade, 255), np.uint8))
    options = ("--queries", 16, "--seconds", 0, "--data", tmp_path / "photos", "--out", out)
    assert run_here("benchmark", model, *options).status == 0
    record = json.loads(out.read_text())
    assert {photo["label"]: photo["predicted"] for photo in record["decisions"]} == {"red": "red", "green": "green"}
    assert (record["accuracy"]["top1"], record["accuracy"]["threshold"]["label"]) == (1.0, "green")


def test_an_impossible_recall_is_refused(few_digits: Path, run: RunFolder, tmp_path: Path) -> None:
    assert "such as pneumonia=0.98, got '8'" in refusal("export", run.path, "--min-recall", "8")
    assert "unknown class 'eight': known: 0, 1" in refusal("export", run.path, "--min-recall", "eight=0.9")
    pretrained = ("--pretrained", "efficientnet_lite0", "--out", tmp_path / "m.tflite", "--float32")
    assert "--min-recall needs the validation photos of a run" in refusal(
        "export", *pretrained, "--min-recall", "tabby=0.9"
    )
