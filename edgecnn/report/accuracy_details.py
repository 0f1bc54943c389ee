"""The part of a report that tells how accurate one model is, class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgecnn.report.accuracy_charts import reliability_chart, roc_chart
from edgecnn.report.charts import confusion_table
from edgecnn.report.markup import Markup, element
from edgecnn.report.page import NONE, details, percent, table

MAX_CONFUSION_CLASSES = 40
"""More do not fit on a page; they are in the evaluation's JSON."""

Record = Mapping[str, Any]
"""An object as it was read from JSON. One of an older edgecnn has fewer keys."""


def accuracy_details(name: str, evaluation: Record, *, opened: bool) -> Markup:
    """What `edgecnn evaluate` found of the model `name`, to fold and unfold."""
    return details(name, _content(evaluation), opened=opened)


def _content(evaluation: Record) -> Iterator[Markup]:
    yield element("p", _summary(evaluation))
    if threshold := evaluation.get("threshold"):
        yield element("p", _threshold(threshold))
    yield _by_class(evaluation)
    yield element("div", *_charts(evaluation), class_="charts")
    yield element("h3", "Confusion")
    labels = [entry["label"] for entry in evaluation["per_class"]]
    if len(labels) <= MAX_CONFUSION_CLASSES:
        yield confusion_table(labels, evaluation["confusion"])
    else:
        note = f"{len(labels)} classes are too many to draw; edgecnn evaluate --json has the counts."
        yield element("p", note, class_="empty")


def _summary(evaluation: Record) -> str:
    told = {
        "top-1": percent(evaluation["top1"]),
        "top-5": percent(evaluation["top5"]),
        "ROC AUC": _figure(evaluation["auc_roc"]),
        "expected calibration error": percent(evaluation.get("ece")),
        "largest": percent(evaluation.get("mce")),
        "Brier score": _figure(evaluation.get("brier")),
    }
    return f"{evaluation['n']} photos: {', '.join(f'{name} {value}' for name, value in told.items())}."


def _threshold(threshold: Record) -> str:
    low, high = threshold["recall_ci95"]
    return (
        f"It decides on {threshold['label']} from a score of {threshold['threshold']:.4f} on, to find at least "
        f"{percent(threshold['min_recall'])}. On {threshold['photos']} validation photos of it, that took the recall "
        f"from {percent(threshold['recall_before'])} to {percent(threshold['recall'])} (on new ones, with 95% "
        f"confidence, {percent(low)} to {percent(high)}), and the precision from "
        f"{percent(threshold['precision_before'])} to {percent(threshold['precision'])}."
    )


def _by_class(evaluation: Record) -> Markup:
    figures = ("precision", "recall", "f1")
    rows = [
        [
            entry["label"],
            *(percent(entry[key]) for key in figures),
            _figure(entry.get("auc_roc")),
            str(entry["support"]),
        ]
        for entry in evaluation["per_class"]
    ]
    areas = {"macro": _figure(evaluation["auc_roc"]), "weighted": NONE}
    for average, name in (("macro", "Mean of the classes"), ("weighted", "Mean by photos")):
        means = (percent(evaluation.get(f"{average}_{key}")) for key in figures)
        rows.append([name, *means, areas[average], str(evaluation["n"])])
    return table(("Class", "Precision", "Recall", "F1", "ROC AUC", "Photos"), rows)


def _charts(evaluation: Record) -> Iterator[Markup]:
    if bins := evaluation.get("reliability"):
        yield reliability_chart(bins)
    curves = {
        entry["label"]: curve
        for entry, curve in zip(evaluation["per_class"], evaluation.get("roc") or (), strict=False)
        if curve
    }
    if curves:
        shown = _class_to_show(evaluation)
        yield roc_chart(curves, shown, _rates(evaluation, shown))


def _class_to_show(evaluation: Record) -> str:
    """The class that must not be missed, else the one that is hardest to tell from the rest."""
    entries = [entry for entry in evaluation["per_class"] if entry["auc_roc"] is not None]
    threshold = evaluation.get("threshold")
    if threshold and threshold["label"] in [entry["label"] for entry in entries]:
        return str(threshold["label"])
    return str(min(entries, key=lambda entry: float(entry["auc_roc"]))["label"])


def _rates(evaluation: Record, label: str) -> tuple[float, float]:
    """False and true positive rate of the decisions for a class."""
    place = [entry["label"] for entry in evaluation["per_class"]].index(label)
    confusion = evaluation["confusion"]
    support, hits = sum(confusion[place]), confusion[place][place]
    taken = sum(row[place] for row in confusion)
    return (taken - hits) / (evaluation["n"] - support), hits / support


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"
