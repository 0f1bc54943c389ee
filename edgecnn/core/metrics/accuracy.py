"""Accuracy of a classifier from its probabilities: top-k, precision, recall, F1, ROC, calibration, confusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.core.metrics.calibration_error import Reliability, reliability
from edgecnn.core.metrics.roc import RocPoint, binary_auc, roc_curve

TOP_K = 5

MAX_CURVES = 40
"""Of more classes no ROC curves are kept: nobody could tell them apart."""


class ClassMetrics(NamedTuple):
    """One class against the rest. A ratio without a denominator is 0, as in scikit-learn's `zero_division=0`."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Photos whose truth this class is."""
    auc_roc: float | None
    """None where no photo, or every photo, shows the class."""


class Averages(NamedTuple):
    """Means over the classes."""

    precision: float
    recall: float
    f1: float


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
    macro: Averages
    """Every class of `per_class` counts the same."""
    weighted: Averages
    """Every photo counts the same, through its class."""
    auc_roc: float | None
    """One-vs-rest, mean over the classes that have positives and negatives; None where no class has both."""
    reliability: Reliability | None
    """None where the outputs are no probabilities."""
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Photos by truth (row) and decision (column), both in the order of `per_class`."""
    roc: tuple[tuple[RocPoint, ...] | None, ...] | None
    """Curves in the order of `per_class`, None where `auc_roc` is; None for more than `MAX_CURVES` classes."""


def accuracy_metrics(
    probabilities: NDArray[np.float32],
    truth: NDArray[np.intp],
    labels: LabelMap,
    decisions: NDArray[np.intp] | None = None,
) -> AccuracyMetrics:
    """Compares `probabilities [n, classes]` with `truth [n]`, indices into `labels`; n is 1 or more.

    `decisions [n]` are what was decided where that is not always the best class; top-k, precision, recall, F1 and the
    confusion are theirs, ROC and calibration the probabilities'. Ties go to the lower index, as in
    `Classifier.classify`. Raises `ValueError` for probabilities that are not finite.
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


def metrics_record(metrics: AccuracyMetrics) -> dict[str, Any]:
    """The JSON object of `metrics`."""
    calibration = metrics.reliability
    return {
        "n": metrics.n,
        "top1": metrics.top1,
        "top5": metrics.top5,
        **{f"macro_{name}": value for name, value in metrics.macro._asdict().items()},
        **{f"weighted_{name}": value for name, value in metrics.weighted._asdict().items()},
        "auc_roc": metrics.auc_roc,
        "ece": calibration and calibration.ece,
        "mce": calibration and calibration.mce,
        "brier": calibration and calibration.brier,
        "per_class": [entry._asdict() for entry in metrics.per_class],
        "confusion": [list(row) for row in metrics.confusion],
        "reliability": calibration and [each._asdict() for each in calibration.bins],
        "roc": metrics.roc and [curve and [_rounded(point) for point in curve] for curve in metrics.roc],
    }


def rank_of_truth(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp], decisions: NDArray[np.intp]
) -> NDArray[np.intp]:
    """`[n]` positions of the true class when the decided class comes first and the others follow, best first, ties by
    index; 0 is a hit."""
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
    """Whether some photos show a class and others do not."""
    return 0 < int(np.count_nonzero(truth == index)) < len(truth)


def _averages(per_class: tuple[ClassMetrics, ...], weights: list[int] | None) -> Averages:
    means = np.average([(entry.precision, entry.recall, entry.f1) for entry in per_class], axis=0, weights=weights)
    return Averages(*means.tolist())


def _rounded(point: RocPoint) -> list[float]:
    return [round(rate, 4) for rate in point]


def _confusion(truth: NDArray[np.intp], decisions: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The classes seen, and the counts `[seen, seen]` by truth and decision."""
    seen = np.union1d(truth, decisions)
    cells = np.searchsorted(seen, truth) * len(seen) + np.searchsorted(seen, decisions)
    return seen, np.bincount(cells, minlength=len(seen) ** 2).reshape(len(seen), len(seen))


def _per_class(confusion: NDArray[np.intp], names: list[str], areas: list[float | None]) -> tuple[ClassMetrics, ...]:
    hits, support, decided = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(hits, decided), _ratio(hits, support)
    # 2PR / (P + R) with the common factors canceled: no division by zero, as every class seen has a sum above 0.
    f1 = 2 * hits / (support + decided)
    return tuple(
        ClassMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]), areas[i])
        for i, name in enumerate(names)
    )


def _ratio(part: NDArray[np.intp], whole: NDArray[np.intp]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)
