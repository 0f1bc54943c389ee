"""The part of a report on the accuracy of one model, class by class."""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.core.records.evaluation import AccuracyRecord
from edgecnn.report.accuracy_charts import reliability_chart, roc_chart
from edgecnn.report.confusion_chart import confusion_chart
from edgecnn.report.drawing import inline_svg
from edgecnn.report.markup import Markup, element
from edgecnn.report.page import NONE, details, figure, percent, table

MAX_CONFUSION_CLASSES = 40
"""Maximum number of classes in a confusion matrix on the page; the evaluation's JSON has all of them."""


def accuracy_details(name: str, accuracy: AccuracyRecord, *, opened: bool) -> Markup:
    """Return the results of `edgecnn evaluate` for one model.

    Args:
        name: Name of the model.
        accuracy: Its accuracy.
        opened: True if the part is unfolded at first.

    Returns:
        A part of the page that can be folded.
    """
    return details(name, _content(accuracy), opened=opened)


def _content(accuracy: AccuracyRecord) -> Iterator[Markup]:
    yield element("p", _summary(accuracy))
    if accuracy.threshold:
        yield element("p", _threshold(accuracy.threshold))
    yield _by_class(accuracy)
    yield element("div", *_charts(accuracy), class_="charts")
    yield element("h3", "Confusion")
    labels = _labels(accuracy)
    if len(labels) <= MAX_CONFUSION_CLASSES:
        yield element("div", inline_svg(confusion_chart(labels, accuracy.confusion)), class_="scroll confusion")
    else:
        note = f"{len(labels)} classes are too many to draw; edgecnn evaluate --json has the counts."
        yield element("p", note, class_="empty")


def _labels(accuracy: AccuracyRecord) -> list[str]:
    return [entry.label for entry in accuracy.per_class]


def _summary(accuracy: AccuracyRecord) -> str:
    values = {
        "top-1": percent(accuracy.top1),
        "top-5": percent(accuracy.top5),
        "ROC AUC": figure(accuracy.auc_roc),
        "expected calibration error": percent(accuracy.ece),
        "largest": percent(accuracy.mce),
        "Brier score": figure(accuracy.brier),
    }
    return f"{accuracy.n} photos: {', '.join(f'{name} {value}' for name, value in values.items())}."


def _threshold(threshold: ClassThreshold) -> str:
    low, high = threshold.recall_ci95
    return (
        f"It decides on {threshold.label} if the score is at least {threshold.threshold:.4f}, to find at least "
        f"{percent(threshold.min_recall)}. On the {threshold.photos} validation photos of this class, that changed the "
        f"recall from {percent(threshold.recall_before)} to {percent(threshold.recall)} (on new photos "
        f"{percent(low)} to {percent(high)}, with 95% confidence) and the precision from "
        f"{percent(threshold.precision_before)} to {percent(threshold.precision)}."
    )


def _by_class(accuracy: AccuracyRecord) -> Markup:
    rows = [
        [
            entry.label,
            *(percent(value) for value in (entry.precision, entry.recall, entry.f1)),
            figure(entry.auc_roc),
            str(entry.support),
        ]
        for entry in accuracy.per_class
    ]
    macro = (accuracy.macro_precision, accuracy.macro_recall, accuracy.macro_f1)
    weighted = (accuracy.weighted_precision, accuracy.weighted_recall, accuracy.weighted_f1)
    rows.append(["Mean of the classes", *map(percent, macro), figure(accuracy.auc_roc), str(accuracy.n)])
    rows.append(["Mean by photos", *map(percent, weighted), NONE, str(accuracy.n)])
    return table(("Class", "Precision", "Recall", "F1", "ROC AUC", "Photos"), rows)


def _charts(accuracy: AccuracyRecord) -> Iterator[Markup]:
    if accuracy.reliability:
        yield reliability_chart(accuracy.reliability)
    curves = {label: curve for label, curve in zip(_labels(accuracy), accuracy.roc or (), strict=False) if curve}
    if curves:
        shown = _class_to_show(accuracy)
        yield roc_chart(curves, shown, _rates(accuracy, shown))


def _class_to_show(accuracy: AccuracyRecord) -> str:
    """Return the class that must not be missed, else the one with the smallest area under its ROC curve."""
    areas = {entry.label: entry.auc_roc for entry in accuracy.per_class if entry.auc_roc is not None}
    if accuracy.threshold and accuracy.threshold.label in areas:
        return accuracy.threshold.label
    return min(areas, key=lambda label: areas[label])


def _rates(accuracy: AccuracyRecord, label: str) -> tuple[float, float]:
    """Return false and true positive rate of the decisions for a class."""
    index = _labels(accuracy).index(label)
    confusion = accuracy.confusion
    support, hits = sum(confusion[index]), confusion[index][index]
    decided = sum(row[index] for row in confusion)
    return (decided - hits) / (accuracy.n - support), hits / support
