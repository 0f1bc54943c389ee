"""The format of `edgecnn evaluate --json`, which is also saved in the run folder of an evaluated model."""

from __future__ import annotations

from collections.abc import Sequence

from edgecnn.core.metrics.accuracy import AccuracyMetrics, ClassMetrics
from edgecnn.core.metrics.calibration_error import Bin
from edgecnn.core.metrics.roc import RocPoint
from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.core.records.record import Record


class AccuracyRecord(Record):
    """Accuracy of one model. A file that an older edgecnn saved may lack the keys that have a default here."""

    n: int
    """Number of photos."""
    top1: float
    """Fraction of the photos whose true class is the decision."""
    top5: float
    """Fraction of the photos whose true class is among the five best."""
    macro_precision: float | None = None
    """Mean precision of the classes, each weighted equally."""
    macro_recall: float | None = None
    """Mean recall of the classes, each weighted equally."""
    macro_f1: float | None = None
    """Mean F1 of the classes, each weighted equally."""
    weighted_precision: float | None = None
    """Mean precision of the classes, each weighted by its photos."""
    weighted_recall: float | None = None
    """Mean recall of the classes, each weighted by its photos."""
    weighted_f1: float | None = None
    """Mean F1 of the classes, each weighted by its photos."""
    auc_roc: float | None
    """Area under the ROC curve, one class against the rest, mean over the classes."""
    ece: float | None = None
    """Expected calibration error, 15 bins of the best score; null if the outputs are not probabilities."""
    mce: float | None = None
    """Maximum calibration error of these bins; null if the outputs are not probabilities."""
    brier: float | None = None
    """Brier score, 0 to 2; null if the outputs are not probabilities."""
    per_class: tuple[ClassMetrics, ...]
    """Metrics of each class that is the truth or the decision of some photo, in label order."""
    confusion: tuple[tuple[int, ...], ...]
    """Photo counts by truth (row) and decision (column), both in the order of `per_class`."""
    reliability: tuple[Bin, ...] | None = None
    """Bins that contain photos, by rising confidence; null if the outputs are not probabilities."""
    roc: tuple[tuple[tuple[float, float], ...] | None, ...] | None = None
    """ROC curve of each class in `per_class`: points `[false positive rate, true positive rate]` from corner to corner.

    Null above 40 classes."""
    threshold: ClassThreshold | None = None
    """The decision threshold in the model card, if it has one."""


class PairedRecord(Record):
    """A model compared with a baseline on the same photos."""

    delta_top1: float
    """Top-1 of the model minus top-1 of the baseline, a fraction."""
    ci95: tuple[float, float]
    """95 % confidence interval of `delta_top1`."""
    agreement: float
    """Fraction of the photos for which both models decide on the same class."""
    p_value: float
    """Two-sided p-value of the exact McNemar test that both models are right equally often."""


class GateRecord(Record):
    """The verdict of the accuracy gate."""

    max_drop: float
    """Largest drop in top-1 that is allowed, in percentage points."""
    passed: bool | None
    """Null if there are too few photos to decide."""


class EvaluationRecord(AccuracyRecord):
    """Accuracy of a model, and of a baseline on the same photos if there was one."""

    baseline: AccuracyRecord | None
    """The same keys for the baseline, from `n` to `threshold`."""
    paired: PairedRecord | None
    """The model compared with the baseline."""
    gate: GateRecord | None
    """The verdict of `--max-drop`."""


def accuracy_record(metrics: AccuracyMetrics, threshold: ClassThreshold | None = None) -> AccuracyRecord:
    """Return the JSON object of one model's accuracy.

    Args:
        metrics: Metrics of the decisions made with `threshold`.
        threshold: The threshold in the model card, if it has one.

    Returns:
        The record; rates on ROC curves are rounded to 4 digits.
    """
    calibration = metrics.reliability
    return AccuracyRecord(
        n=metrics.n,
        top1=metrics.top1,
        top5=metrics.top5,
        macro_precision=metrics.macro.precision,
        macro_recall=metrics.macro.recall,
        macro_f1=metrics.macro.f1,
        weighted_precision=metrics.weighted.precision,
        weighted_recall=metrics.weighted.recall,
        weighted_f1=metrics.weighted.f1,
        auc_roc=metrics.auc_roc,
        ece=calibration.ece if calibration else None,
        mce=calibration.mce if calibration else None,
        brier=calibration.brier if calibration else None,
        per_class=metrics.per_class,
        confusion=metrics.confusion,
        reliability=calibration.bins if calibration else None,
        roc=tuple(map(_rounded, metrics.roc)) if metrics.roc else None,
        threshold=threshold,
    )


def _rounded(curve: Sequence[RocPoint] | None) -> tuple[tuple[float, float], ...] | None:
    return tuple((round(x, 4), round(y, 4)) for x, y in curve) if curve else None
