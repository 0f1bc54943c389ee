"""Accuracy on the photos of a dataset, measured with the device's own classifier, and with a baseline next to it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.bench.gate import Gate, check_max_drop, decide_accuracy_gate, gate_record
from edgecnn.bench.paired import Paired, compare, paired_record
from edgecnn.core.dataset import Example
from edgecnn.core.errors import DataError, InputError, ModelFileError
from edgecnn.core.images import read_image
from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.accuracy import AccuracyMetrics, accuracy_metrics
from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.core.records.evaluation import AccuracyRecord, EvaluationRecord, accuracy_record
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.threshold import decided


class Decision(NamedTuple):
    """A model's decision on one photo."""

    path: Path
    truth: str
    decision: str
    score: float
    """Probability of `decision`."""

    @property
    def correct(self) -> bool:
        """True if the decision is the true class."""
        return self.truth == self.decision


@dataclass(frozen=True, slots=True)
class ModelAccuracy:
    """Accuracy of one model; `decisions` are in the order of the examples."""

    path: Path
    metrics: AccuracyMetrics
    decisions: tuple[Decision, ...]
    threshold: ClassThreshold | None = None
    """The decision threshold in the model card."""

    def record(self) -> AccuracyRecord:
        """Return the JSON object of the accuracy."""
        return accuracy_record(self.metrics, self.threshold)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy of a model, compared with a baseline and checked by a gate if they were given."""

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
    """Classify every photo once with each model and compare with the true classes.

    Each model preprocesses the photos in its own way.

    Args:
        classifier: The model to evaluate.
        examples: Labeled photos.
        labels: Labels of the dataset, which `Example.label` indexes. They are matched with the labels of the models by
            name; a model may have them in another order and may have more.
        baseline: Another model for the same photos.
        max_drop: Largest drop of top-1 against the baseline in percentage points; needs a baseline.
        progress: Called with `(done, total)` after every photo.

    Returns:
        Accuracy, comparison and verdict.

    Raises:
        DataError: If there are no photos, or a model lacks one of the labels.
        InputError: If `max_drop` is invalid or given without a baseline.
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
        gate=decide_accuracy_gate(paired, max_drop) if paired and max_drop is not None else None,
    )


def evaluation_record(evaluation: Evaluation) -> EvaluationRecord:
    """Return the JSON object that `edgecnn evaluate --json` prints.

    Args:
        evaluation: A finished evaluation.

    Returns:
        The record.
    """
    baseline, paired, gate = evaluation.baseline, evaluation.paired, evaluation.gate
    return EvaluationRecord(
        **dict(evaluation.candidate.record()),
        baseline=baseline.record() if baseline else None,
        paired=paired_record(paired) if paired else None,
        gate=gate_record(gate) if gate else None,
    )


def match_labels(dataset: LabelMap, model: LabelMap, path: Path) -> tuple[int, ...]:
    """Find the labels of a dataset among those of a model.

    A label that the model has twice (ImageNet has two classes "crane") is refused: a folder cannot say which is meant.

    Args:
        dataset: Labels to find.
        model: Labels of the model.
        path: File of the model, for error messages.

    Returns:
        For every label of the dataset, its index in the model.

    Raises:
        DataError: If the model has a label of the dataset twice or not at all.
    """
    for name in dataset:
        count = model.names.count(name)
        if count > 1:
            raise DataError(f"{path} has {count} classes named {name!r}: the folder could mean any of them; remove it")
        if not count:
            raise DataError(f"the folder {name!r} is not a class of {path}{_nearest(name, model)}; rename or remove it")
    return tuple(model.names.index(name) for name in dataset)


def _nearest(name: str, known: LabelMap) -> str:
    by_folded = {label.casefold(): label for label in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f", did you mean {by_folded[close[0]]!r}?" if close else f" ({len(known)} classes, such as {known[0]!r})"


def _truth(examples: Sequence[Example], labels: LabelMap, classifier: Classifier) -> NDArray[np.intp]:
    """Return `[n]` true classes as indices into the classifier's labels."""
    index = np.array(match_labels(labels, classifier.labels, classifier.model.path), np.intp)
    return index[[example.label for example in examples]]


def _probabilities(
    classifiers: Sequence[Classifier], examples: Sequence[Example], progress: Callable[[int, int], None] | None
) -> list[NDArray[np.float32]]:
    """Return `[n, classes]` for each classifier; every photo is decoded once."""
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
    """Compare decisions by name, since the two models may number their classes differently."""
    return compare(
        np.array([each.correct for each in candidate.decisions]),
        np.array([each.correct for each in baseline.decisions]),
        np.array([each.decision for each in candidate.decisions]),
        np.array([each.decision for each in baseline.decisions]),
    )
