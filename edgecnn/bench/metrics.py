"""Accuracy of a classifier from its probabilities: top-k, F1, ROC AUC, confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap

TOP_K = 5


class ClassMetrics(NamedTuple):
    """One class against the rest. A ratio without a denominator is 0, as in scikit-learn's `zero_division=0`."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Photos whose truth this class is."""


@dataclass(frozen=True, slots=True)
class AccuracyMetrics:
    """Accuracy over `n` photos; every rate is a fraction from 0 to 1.

    `per_class` and `confusion` cover the classes that are the truth or the decision of some photo, in label order; a
    1001-class model on ten folders would otherwise give a million zeros.
    """

    n: int
    top1: float
    top5: float
    """The truth is among the five best, or among all where there are fewer."""
    macro_f1: float
    """Mean F1 of the classes in `per_class`."""
    auc_roc: float | None
    """One-vs-rest, mean over the classes that have positives and negatives; None where no class has both."""
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Photos by truth (row) and decision (column), both in the order of `per_class`."""


def accuracy_metrics(probabilities: NDArray[np.float32], truth: NDArray[np.intp], labels: LabelMap) -> AccuracyMetrics:
    """Compares `probabilities [n, classes]` with `truth [n]`, indices into `labels`; n is 1 or more.

    Ties go to the lower index, as in `Classifier.classify`. Raises `ValueError` for probabilities that are not finite.
    """
    expected = (max(1, len(truth)), len(labels))
    if probabilities.shape != expected:
        raise ValueError(f"expected probabilities of shape {expected}, got {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError("expected finite probabilities, got NaN or infinity")
    ranks = rank_of_truth(probabilities, truth)
    seen, confusion = _confusion(truth, probabilities.argmax(axis=1))
    per_class = _per_class(confusion, [labels[int(index)] for index in seen])
    return AccuracyMetrics(
        n=len(truth),
        top1=float(np.mean(ranks == 0)),
        top5=float(np.mean(ranks < TOP_K)),
        macro_f1=float(np.mean([entry.f1 for entry in per_class])),
        auc_roc=macro_auc(probabilities, truth),
        per_class=per_class,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def metrics_record(metrics: AccuracyMetrics) -> dict[str, Any]:
    """The JSON object of `metrics`."""
    return {
        "n": metrics.n,
        "top1": metrics.top1,
        "top5": metrics.top5,
        "macro_f1": metrics.macro_f1,
        "auc_roc": metrics.auc_roc,
        "per_class": [entry._asdict() for entry in metrics.per_class],
        "confusion": [list(row) for row in metrics.confusion],
    }


def rank_of_truth(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> NDArray[np.intp]:
    """`[n]` positions of the true class when the classes are sorted best first, ties by index; 0 is a hit."""
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    ahead = (probabilities > own) | ((probabilities == own) & earlier)
    return np.asarray(np.count_nonzero(ahead, axis=1), np.intp)


def macro_auc(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> float | None:
    """Mean one-vs-rest area under the ROC curve of the classes that have both positives and negatives."""
    present = np.unique(truth)
    if len(present) < 2:
        # A class that no photo shows has no positives, the only one that is shown has no negatives.
        return None
    return float(np.mean([binary_auc(probabilities[:, index], truth == index) for index in present]))


def binary_auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from `scores [n]` and `positive [n]`, which must hold both values.

    It is the chance that a positive scores higher than a negative, ties counting half, which is the Mann-Whitney U
    statistic over the number of pairs (Hanley & McNeil 1982, Radiology 143:29-36). Quantised probabilities tie often:
    tied scores share the mean of their ranks.
    """
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    positives = int(np.count_nonzero(positive))
    negatives = len(scores) - positives
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def _confusion(truth: NDArray[np.intp], decisions: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The classes seen, and the counts `[seen, seen]` by truth and decision."""
    seen = np.union1d(truth, decisions)
    cells = np.searchsorted(seen, truth) * len(seen) + np.searchsorted(seen, decisions)
    return seen, np.bincount(cells, minlength=len(seen) ** 2).reshape(len(seen), len(seen))


def _per_class(confusion: NDArray[np.intp], names: list[str]) -> tuple[ClassMetrics, ...]:
    hits, support, decided = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, decided), _ratio(hits, support)
    # 2PR / (P + R) with the common factors cancelled: no division by zero, as every class seen has a sum above 0.
    f1 = 2 * hits / (support + decided)
    return tuple(
        ClassMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, name in enumerate(names)
    )


def _ratio(part: NDArray[np.intp], whole: NDArray[np.intp]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)
