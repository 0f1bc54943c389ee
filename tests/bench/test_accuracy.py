from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.bench.accuracy import evaluate, evaluation_record, match_labels
from edgecnn.core.dataset import Dataset, Example, all_examples, scan_dataset
from edgecnn.core.errors import DataError, InputError, ModelFileError
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import ModelFile, read_model_file
from edgecnn.core.preprocess import Image
from edgecnn.core.records.evaluation import AccuracyRecord
from edgecnn.runtime.inference.classifier import Classifier
from tests.colors import write_color_model
from tests.pixel_model import pixel_card, with_threshold

COLORS = {"blue": (255, 0, 0), "green": (0, 255, 0), "red": (0, 0, 255)}
SUBJECTS = {
    "Egyptian cat": "cat_720p",
    "military uniform": "grace_hopper",
    "hotdog, hot dog, red hot": "hot_dog",
    "macaw": "parrot",
    "daisy": "sunflower",
}


class FakeClassifier:
    """Stand-in for a classifier of plain colors: a function from the mean RGB to probabilities."""

    def __init__(self, labels: tuple[str, ...], answer: Callable[[NDArray[np.float64]], list[float]]) -> None:
        self.labels = LabelMap(labels)
        self.model = SimpleNamespace(path=Path("fake.tflite"), card=None)
        self.threshold = None
        self._answer = answer

    def probabilities(self, image: Image) -> NDArray[np.float32]:
        return np.array(self._answer(image.reshape(-1, 3).mean(axis=0) / 255), np.float32)


def _fake(labels: tuple[str, ...], answer: Callable[[NDArray[np.float64]], list[float]]) -> Classifier:
    return cast(Classifier, FakeClassifier(labels, answer))


def _by_color(mean: NDArray[np.float64]) -> list[float]:
    """Return probabilities for labels in the order red, green, blue, other."""
    return [*(0.9 * mean), 0.05]


def _never_red(mean: NDArray[np.float64]) -> list[float]:
    """Return probabilities for labels in the order blue, green, red."""
    return [0.5 * mean[2] + 0.1, 0.5 * mean[1], 0.05]


@pytest.fixture
def colors(tmp_path: Path) -> Dataset:
    """Write four plain pictures of each color."""
    for name, bgr in COLORS.items():
        (tmp_path / name).mkdir()
        for number in range(4):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((8, 8 + number, 3), bgr, np.uint8))
    return scan_dataset(tmp_path)


RGB = _fake(("red", "green", "blue", "other"), _by_color)
NEVER_RED = _fake(("blue", "green", "red"), _never_red)


def test_labels_are_matched_by_name_in_any_order_and_among_others(colors: Dataset) -> None:
    evaluation = evaluate(RGB, all_examples(colors), colors.labels)
    assert evaluation.candidate.metrics.top1 == 1.0
    assert [entry.label for entry in evaluation.candidate.metrics.per_class] == ["red", "green", "blue"]
    assert all(decision.correct for decision in evaluation.candidate.decisions)
    assert {decision.score for decision in evaluation.candidate.decisions} == {np.float32(0.9)}


def test_a_baseline_with_other_labels_is_compared_photo_by_photo(colors: Dataset) -> None:
    evaluation = evaluate(NEVER_RED, all_examples(colors), colors.labels, baseline=RGB, max_drop=1.0)
    assert evaluation.paired is not None
    assert evaluation.gate is not None
    assert (evaluation.paired.candidate_only, evaluation.paired.baseline_only) == (0, 4)
    assert evaluation.paired.agreement == pytest.approx(8 / 12)
    assert evaluation.paired.delta_top1 == pytest.approx(-4 / 12)
    assert evaluation.gate.passed is None


def test_the_record_is_plain_json_with_every_key(colors: Dataset) -> None:
    evaluation = evaluate(NEVER_RED, all_examples(colors), colors.labels, baseline=RGB, max_drop=1.0)
    record = evaluation_record(evaluation).to_json()
    metrics = list(AccuracyRecord.model_fields)
    assert list(record) == [*metrics, "baseline", "paired", "gate"]
    assert list(record["baseline"]) == metrics
    assert record["baseline"] == evaluation_record(evaluate(RGB, all_examples(colors), colors.labels)).to_json(
        without=("baseline", "paired", "gate")
    )
    assert record["gate"] == {"max_drop": 1.0, "passed": None}
    assert json.loads(json.dumps(record)) == record


def test_without_a_baseline_nothing_is_compared(colors: Dataset) -> None:
    record = evaluation_record(evaluate(RGB, all_examples(colors), colors.labels))
    assert (record.baseline, record.paired, record.gate) == (None, None, None)


@pytest.fixture
def watching(tmp_path: Path) -> Classifier:
    """Return a classifier that decides on green if its score is at least 0.25, which is a byte of 144."""
    card = with_threshold(pixel_card(1, 1, ("red", "green", "blue")), "green", 0.25)
    return Classifier(read_model_file(write_color_model(tmp_path / "m.tflite", card=card)))


def test_decisions_match_the_device_and_scores_are_unchanged(watching: Classifier, tmp_path: Path) -> None:
    for name, bgr in {"red": (0, 150, 255), "green": (0, 150, 255), "blue": (255, 0, 0)}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / name / "0.png"), np.full((8, 8, 3), bgr, np.uint8))
    photos = scan_dataset(tmp_path / "photos")
    accuracy = evaluate(watching, all_examples(photos), photos.labels).candidate
    decisions = {decision.truth: (decision.decision, decision.score) for decision in accuracy.decisions}
    assert decisions == {"red": ("green", 22 / 64), "green": ("green", 22 / 64), "blue": ("blue", 127 / 64)}
    best = [watching.classify(read_image(photo.path)).best.label for photo in all_examples(photos)]
    assert best == [decision.decision for decision in accuracy.decisions]
    rates = {entry.label: (entry.precision, entry.recall) for entry in accuracy.metrics.per_class}
    assert rates == {"red": (0, 0), "green": (0.5, 1), "blue": (1, 1)}


def test_the_record_contains_the_threshold_of_its_decisions(watching: Classifier, colors: Dataset) -> None:
    evaluation = evaluate(watching, all_examples(colors), colors.labels, baseline=RGB)
    record = evaluation_record(evaluation)
    assert record.threshold is not None and record.baseline is not None
    assert (record.threshold.label, record.threshold.threshold) == ("green", 0.25)
    assert record.baseline.threshold is None


def test_progress_is_reported_for_every_photo(colors: Dataset) -> None:
    reports: list[tuple[int, int]] = []
    evaluate(RGB, all_examples(colors), colors.labels, progress=lambda done, total: reports.append((done, total)))
    assert reports == [(done, 12) for done in range(1, 13)]


def test_an_unknown_folder_is_refused_with_the_nearest_label() -> None:
    with pytest.raises(DataError, match=r"folder 'Gren' is not a class of a\.tflite, did you mean 'green'\?"):
        match_labels(LabelMap(("red", "Gren")), LabelMap(("red", "green")), Path("a.tflite"))


def test_an_unknown_folder_without_a_similar_label_is_refused_with_the_number_of_classes() -> None:
    with pytest.raises(DataError, match=r"\(2 classes, such as 'red'\)"):
        match_labels(LabelMap(("xyzzy",)), LabelMap(("red", "green")), Path("a.tflite"))


def test_a_folder_that_matches_two_classes_is_refused() -> None:
    with pytest.raises(DataError, match="2 classes named 'crane'"):
        match_labels(LabelMap(("crane",)), LabelMap(("crane", "heron", "crane")), Path("a.tflite"))


def test_a_gate_without_a_baseline_is_refused(colors: Dataset) -> None:
    with pytest.raises(InputError, match="--baseline"):
        evaluate(RGB, all_examples(colors), colors.labels, max_drop=1.0)


def test_an_empty_set_of_photos_is_refused() -> None:
    with pytest.raises(DataError, match="got none"):
        evaluate(RGB, (), LabelMap(("red",)))


def test_a_model_that_gives_nan_is_refused(colors: Dataset) -> None:
    broken = _fake(("blue", "green", "red"), lambda _: [float("nan"), 0.0, 0.0])
    with pytest.raises(ModelFileError, match="NaN"):
        evaluate(broken, all_examples(colors), colors.labels)


def test_a_missing_photo_is_named(colors: Dataset) -> None:
    missing = Example(colors.root / "red" / "missing.png", 2, "")
    with pytest.raises(DataError, match=r"missing\.png"):
        evaluate(RGB, (missing,), colors.labels)


def test_models_made_by_others_are_evaluated_and_compared(
    data: Path, mobilenet_v1: ModelFile, mobilenet_v2: ModelFile, tmp_path: Path
) -> None:
    for label, photo in SUBJECTS.items():
        (tmp_path / label).mkdir()
        shutil.copy(data / "photos" / f"{photo}.jpg", tmp_path / label)
    photos = scan_dataset(tmp_path)
    evaluation = evaluate(
        Classifier(mobilenet_v1), all_examples(photos), photos.labels, baseline=Classifier(mobilenet_v2), max_drop=2.0
    )
    assert evaluation.baseline is not None
    assert evaluation.paired is not None
    assert evaluation.gate is not None
    assert evaluation.baseline.metrics.top1 == 1.0
    # The smallest MobileNet classifies the uniform as a gown and the hot dog as a gecko.
    assert evaluation.paired.baseline_only == 2
    assert evaluation.paired.delta_top1 == pytest.approx(-0.4)
    assert evaluation.gate.passed is None
