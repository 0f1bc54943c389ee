"""Runs photos of a dataset through the device's own classifier, and through a baseline beside it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.bench.gate import Gate, check_max_drop, classify_observation, gate_record
from edgecnn.bench.paired import Paired, compare, paired_record
from edgecnn.core.dataset import Example
from edgecnn.core.errors import DataError, InputError, ModelFileError
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import AccuracyMetrics, accuracy_metrics, metrics_record
from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.threshold import decided


class Decision(NamedTuple):
    """What a model said of one photo."""

    path: Path
    truth: str
    decision: str
    score: float
    """Probability of `decision`."""

    @property
    def correct(self) -> bool:
        return self.truth == self.decision


@dataclass(frozen=True, slots=True)
class ModelAccuracy:
    """One model's part of an evaluation; `decisions` are in the order of the examples."""

    path: Path
    metrics: AccuracyMetrics
    decisions: tuple[Decision, ...]
    threshold: ClassThreshold | None = None
    """By which the model decides on one of its classes."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model over a set of photos, and against a baseline and a gate where they were given."""

    candidate: ModelAccuracy
    baseline: ModelAccuracy | None
    paired: Paired | None
    gate: Gate | None


def evaluate(
    classifier: Classifier,
    examples: Sequence[Example],
    labels: LabelMap,
    *,
    baseline: Classifier | None = None,
    max_drop: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Classifies every photo once with each model and compares with the truth.

    `labels` are the dataset's, which `Example.label` counts in; models find them by name, in any order, among others.
    Each model prepares the photo by its own preprocessing. `max_drop`, in percentage points of top-1, needs a baseline.
    `progress(done, total)` is called for every photo. Raises `InputError`, of which `DataError` for labels that a model
    does not have.
    """
    if max_drop is not None:
        check_max_drop(max_drop)
        if baseline is None:
            raise InputError(
                f"a gate of {max_drop:g} points compares two models, got one; give the other with --baseline"
            )
    if not examples:
        raise DataError("expected photos to evaluate on, got none; give a folder of class folders with photos in them")
    classifiers = [classifier] if baseline is None else [classifier, baseline]
    truths = [_truth(examples, labels, each) for each in classifiers]
    answers = _probabilities(classifiers, examples, progress)
    results = [
        _model_accuracy(each, examples, truth, probabilities)
        for each, truth, probabilities in zip(classifiers, truths, answers, strict=True)
    ]
    paired = _compare(results[0], results[1]) if baseline else None
    return Evaluation(
        candidate=results[0],
        baseline=results[1] if baseline else None,
        paired=paired,
        gate=classify_observation(paired, max_drop) if paired and max_drop is not None else None,
    )


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """The JSON object that `edgecnn evaluate --json` prints."""
    baseline, paired, gate = evaluation.baseline, evaluation.paired, evaluation.gate
    return {
        **accuracy_record(evaluation.candidate),
        "baseline": accuracy_record(baseline) if baseline else None,
        "paired": paired_record(paired) if paired else None,
        "gate": gate_record(gate) if gate else None,
    }


def accuracy_record(accuracy: ModelAccuracy) -> dict[str, Any]:
    """The JSON object of one model's part: its metrics, and the threshold that they hold for."""
    threshold = accuracy.threshold
    return {**metrics_record(accuracy.metrics), "threshold": threshold.model_dump(mode="json") if threshold else None}


def match_labels(dataset: LabelMap, model: LabelMap, path: Path) -> tuple[int, ...]:
    """For every label of `dataset`, its index in `model`, whose file is `path`. Raises `DataError`.

    A label that the model has twice (ImageNet's two cranes) is refused: a folder cannot say which one it means.
    """
    for name in dataset:
        found = model.names.count(name)
        if found > 1:
            raise DataError(f"{path} has {found} classes named {name!r}: the folder could mean any of them; remove it")
        if not found:
            raise DataError(f"the folder {name!r} is no class of {path}{_nearest(name, model)}; rename or remove it")
    return tuple(model.names.index(name) for name in dataset)


def _nearest(name: str, known: LabelMap) -> str:
    by_folded = {label.casefold(): label for label in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f", did you mean {by_folded[close[0]]!r}?" if close else f" ({len(known)} classes, such as {known[0]!r})"


def _truth(examples: Sequence[Example], labels: LabelMap, classifier: Classifier) -> NDArray[np.intp]:
    """`[n]` true classes as the classifier counts them."""
    index = np.array(match_labels(labels, classifier.labels, classifier.model.path), np.intp)
    return index[[example.label for example in examples]]


def _probabilities(
    classifiers: Sequence[Classifier], examples: Sequence[Example], progress: Callable[[int, int], None] | None
) -> list[NDArray[np.float32]]:
    """`[n, classes]` for each classifier; every photo is decoded once."""
    answers = [np.empty((len(examples), len(each.labels)), np.float32) for each in classifiers]
    for number, example in enumerate(examples):
        image = read_image(example.path)
        for classifier, answer in zip(classifiers, answers, strict=True):
            answer[number] = classifier.probabilities(image)
            if not np.isfinite(answer[number]).all():
                raise ModelFileError(f"{classifier.model.path} gives NaN for {example.path}; export the model again")
        if progress:
            progress(number + 1, len(examples))
    return answers


def _model_accuracy(
    classifier: Classifier, examples: Sequence[Example], truth: NDArray[np.intp], probabilities: NDArray[np.float32]
) -> ModelAccuracy:
    labels, card = classifier.labels, classifier.model.card
    best = np.array([decided(row, classifier.threshold) for row in probabilities], np.intp)
    decisions = tuple(
        Decision(example.path, labels[int(true)], labels[int(index)], float(row[index]))
        for example, true, index, row in zip(examples, truth, best, probabilities, strict=True)
    )
    metrics = accuracy_metrics(probabilities, truth, labels, best)
    return ModelAccuracy(classifier.model.path, metrics, decisions, card.threshold if card else None)


def _compare(candidate: ModelAccuracy, baseline: ModelAccuracy) -> Paired:
    """By name, since the two may number their classes differently."""
    return compare(
        np.array([each.correct for each in candidate.decisions]),
        np.array([each.correct for each in baseline.decisions]),
        np.array([each.decision for each in candidate.decisions]),
        np.array([each.decision for each in baseline.decisions]),
    )
