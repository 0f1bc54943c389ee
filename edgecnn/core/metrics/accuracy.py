"""Accuracy of a classifier from its probabilities: top-k, precision, recall, F1, ROC, calibration, confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.calibration_error import Reliability, reliability
from edgecnn.core.metrics.roc import RocPoint, binary_auc, roc_curve
from edgecnn.core.records.record import Record

TOP_K = 5

MAX_CURVES = 40
"""Maximum number of classes with ROC curves; the chart would be unreadable above it."""


class ClassMetrics(Record):
    """One class against the rest. A ratio without a denominator is 0, as in scikit-learn's `zero_division=0`."""

    label: str
    """Name of the class."""
    precision: float
    """Fraction of the decisions for the class that are right."""
    recall: float
    """Fraction of the photos of the class that are found."""
    f1: float
    """Harmonic mean of precision and recall."""
    support: int
    """Number of photos of the class."""
    auc_roc: float | None = None
    """Area under the ROC curve; null if no photo, or every photo, shows the class."""


class Averages(NamedTuple):
    """Means over the classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class AccuracyMetrics:
    """Accuracy over `n` photos; every rate is a fraction from 0 to 1.

    `per_class` and `confusion` cover only classes that are the truth or the decision of some photo, in label order: a
    model with 1001 classes on ten folders would otherwise produce a million zeros.
    """

    n: int
    top1: float
    top5: float
    """Fraction of the photos whose true class is among the five best, or among all if there are fewer."""
    macro: Averages
    """Each class in `per_class` has the same weight."""
    weighted: Averages
    """Each class is weighted by its photos."""
    auc_roc: float | None
    """Mean of one-vs-rest areas over the classes with positives and negatives; None if no class has both."""
    reliability: Reliability | None
    """None if the outputs are not probabilities."""
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Photo counts by truth (row) and decision (column), both in the order of `per_class`."""
    roc: tuple[tuple[RocPoint, ...] | None, ...] | None
    """Curves in the order of `per_class`, None where `auc_roc` is; None for more than `MAX_CURVES` classes."""


def accuracy_metrics(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.intp],
    labels: LabelMap,
    decisions: NDArray[np.intp] | None = None,
) -> AccuracyMetrics:
    """Compare a model's probabilities and decisions with the true classes.

    Args:
        probabilities: `[n, classes]`, n at least 1. ROC and calibration are computed from them.
        truth: `[n]` class indices.
        labels: Class names by index.
        decisions: `[n]` class indices, if they are not always the best class. Top-k, precision, recall, F1 and
            confusion are computed from them. Ties are decided in favor of the lower index, as in `Classifier.classify`.

    Returns:
        All metrics.

    Raises:
        ValueError: If the shapes do not match or a probability is not finite.
    """
    expected = (max(1, len(truth)), len(labels))
    if probabilities.shape != expected:
        raise ValueError(f"expected probabilities of shape {expected}, got {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("expected finite probabilities, got NaN or infinity")
    decided = probabilities.argmax(axis=1) if decisions is None else decisions
    ranks = rank_of_truth(probabilities, truth, decided)
    seen, confusion = _confusion(truth, decided)
    per_class = _per_class(confusion, [labels[int(index)] for index in seen], _areas(probabilities, truth, seen))
    areas = [entry.auc_roc for entry in per_class if entry.auc_roc is not None]
    return AccuracyMetrics(
        n=len(truth),
        top1=float(np.mean(ranks == 0)),
        top5=float(np.mean(ranks < TOP_K)),
        macro=_averages(per_class, None),
        weighted=_averages(per_class, [entry.support for entry in per_class]),
        auc_roc=float(np.mean(areas)) if areas else None,
        reliability=reliability(probabilities, truth),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        roc=_curves(probabilities, truth, seen),
    )


def rank_of_truth(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp], decisions: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the rank of the true class if the decided class is first and the others follow by score, ties by index.

    Args:
        probabilities: `[n, classes]`.
        truth: `[n]` class indices.
        decisions: `[n]` class indices.

    Returns:
        `[n]` ranks; 0 is a hit.
    """
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    ahead = (probabilities > own) | ((probabilities == own) & earlier)
    np.put_along_axis(ahead, decisions[:, None], values=True, axis=1)
    return np.where(decisions == truth, 0, np.count_nonzero(ahead, axis=1))


def _areas(probabilities: NDArray[np.float32], truth: NDArray[np.intp], seen: NDArray[np.intp]) -> list[float | None]:
    return [binary_auc(probabilities[:, index], truth == index) if _both(truth, index) else None for index in seen]


def _curves(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp], seen: NDArray[np.intp]
) -> tuple[tuple[RocPoint, ...] | None, ...] | None:
    if len(seen) > MAX_CURVES:
        return None
    return tuple(roc_curve(probabilities[:, index], truth == index) if _both(truth, index) else None for index in seen)


def _both(truth: NDArray[np.intp], index: int) -> bool:
    """Return True if some photos show the class and others do not."""
    return 0 < int(np.count_nonzero(truth == index)) < len(truth)


def _averages(per_class: tuple[ClassMetrics, ...], weights: list[int] | None) -> Averages:
    means = np.average([(entry.precision, entry.recall, entry.f1) for entry in per_class], axis=0, weights=weights)
    return Averages(*means.tolist())


def _confusion(truth: NDArray[np.intp], decisions: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the classes that occur and the `[seen, seen]` counts by truth and decision."""
    seen = np.union1d(truth, decisions)
    cells = np.searchsorted(seen, truth) * len(seen) + np.searchsorted(seen, decisions)
    return seen, np.bincount(cells, minlength=len(seen) ** 2).reshape(len(seen), len(seen))


def _per_class(confusion: NDArray[np.intp], names: list[str], areas: list[float | None]) -> tuple[ClassMetrics, ...]:
    hits, support, decided = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, decided), _ratio(hits, support)
    # 2PR / (P + R) with the common factors canceled: no division by zero, as every class seen has a sum above 0.
    f1 = 2 * hits / (support + decided)
    return tuple(
        ClassMetrics(
            label=name,
            precision=float(precision[index]),
            recall=float(recall[index]),
            f1=float(f1[index]),
            support=int(support[index]),
            auc_roc=areas[index],
        )
        for index, name in enumerate(names)
    )


def _ratio(part: NDArray[np.intp], whole: NDArray[np.intp]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)
