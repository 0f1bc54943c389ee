"""Pictures that a run leaves: learning curves and a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.training.plots.figure import new_figure, save_figure, shortened

_CELL_INCHES = 0.42
_CELL_FOR_COUNT_INCHES = 0.3
_MATRIX_INCHES = 20.0
"""Beyond this a matrix of many classes has smaller cells, and in the end no names: a picture has to be opened."""
_READABLE_POINTS = 4.0
_NAME_CHARACTERS = 32


# ---- learning curves


def plot_history(history: Sequence[EpochRecord], best_epochs: Mapping[Phase, int], path: Path) -> None:
    """Loss, accuracy and learning rate by epoch, the phases one after the other; `best_epochs` are marked, if not 0."""
    figure = new_figure(10, 8)
    loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.4))
    phases = _phases(history)
    best = [index for index, epoch in enumerate(history) if epoch.epoch == best_epochs.get(epoch.phase)]
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for field, label, color in ((name, "training", "C0"), (f"val_{name}", "validation", "C1")):
            _curve(axes, history, phases, field, color=color, label=label)
        # A validation loss lies above that of training, an accuracy below: the figure goes where no curve is.
        _mark(axes, best, [getattr(history[index], f"val_{name}") for index in best], above=name == "loss")
        axes.set(ylabel=name, ymargin=0.1)
        axes.legend()
    _curve(rate, history, phases, "learning_rate", color="C2", drawstyle="steps-mid")
    rates = [epoch.learning_rate for epoch in history]
    # A schedule may end at 0, which has no logarithm.
    scale = "log" if max(rates) > 10 * min(rates) > 0 else "linear"
    rate.set(xlabel="epoch", ylabel="learning rate", yscale=scale, xlim=(0.5, len(history) + 0.5))
    rate.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (loss, accuracy, rate):
        axes.grid(alpha=0.3)
        for start, _ in phases[1:]:
            axes.axvline(start + 0.5, color="gray", linewidth=0.8, linestyle="--")
    for start, _ in phases:
        phase = history[start].phase
        loss.text(start + 0.6, 1.01, phase, transform=loss.get_xaxis_transform(), fontsize=8)
    save_figure(figure, path)


def _curve(
    axes: Any, history: Sequence[EpochRecord], phases: Sequence[tuple[int, int]], field: str, **style: Any
) -> None:
    label = style.pop("label", None)
    for start, end in phases:
        # A phase of one epoch is a point, and no line joins two phases: the next measures in its own way.
        values = [getattr(epoch, field) for epoch in history[start:end]]
        axes.plot(range(start + 1, end + 1), values, marker=".", label=label if start == 0 else None, **style)


def _mark(axes: Any, epochs: Sequence[int], values: Sequence[float], *, above: bool) -> None:
    numbers = [index + 1 for index in epochs]
    axes.plot(numbers, values, "o", markersize=11, fillstyle="none", color="black", label="best epoch")
    for number, value in zip(numbers, values, strict=True):
        if math.isfinite(value):
            offset = (0, 9 if above else -16)
            axes.annotate(f"{value:.3f}", (number, value), offset, textcoords="offset points", ha="center", fontsize=8)


def _phases(history: Sequence[EpochRecord]) -> list[tuple[int, int]]:
    """Where in `history` each phase starts and ends."""
    changes = [index for index in range(1, len(history)) if history[index].phase != history[index - 1].phase]
    return list(pairwise((0, *changes, len(history))))


# ---- confusions


def plot_confusion(truth: NDArray[Any], decisions: NDArray[Any], labels: LabelMap, path: Path) -> None:
    """Rows are the true class, columns the decision; color is by the share of the row, the figure a count.

    To the right of a row is its recall, above a column its precision.
    """
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (truth, decisions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = min(_CELL_INCHES, _MATRIX_INCHES / len(labels))
    points = min(9.0, 72 * cell * 0.75)
    names = [shortened(label, _NAME_CHARACTERS) for label in labels]
    side = max(2.2, cell * len(labels)) + 1.4 + 0.085 * max(map(len, names))
    figure = new_figure(side, side)
    axes = figure.subplots()
    # By the root of the share: a confusion of a few in a hundred is to be seen too.
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set(xlabel="decision", ylabel="truth")
    if points >= _READABLE_POINTS:
        _name_classes(axes, names, points)
        _label_rates(axes, counts, points)
    else:
        axes.set(xticks=[], yticks=[])
    if cell >= _CELL_FOR_COUNT_INCHES:
        for row, column in np.argwhere(counts):
            color = "white" if share[row, column] > 0.3 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=color)
    save_figure(figure, path)


def _name_classes(axes: Any, names: Sequence[str], points: float) -> None:
    # A class may be called "$x$" and is not to be typeset as a formula.
    style = {"fontsize": points, "parse_math": False}
    axes.set_xticks(range(len(names)), labels=names, rotation=90 if max(map(len, names)) > 3 else 0, **style)
    axes.set_yticks(range(len(names)), labels=names, **style)


def _label_rates(axes: Any, counts: NDArray[Any], points: float) -> None:
    right = np.diag(counts)
    places = range(len(counts))
    recall = axes.secondary_yaxis("right")
    recall.set_yticks(places, labels=_percentages(right, counts.sum(axis=1)), fontsize=points)
    recall.set_ylabel("recall")
    precision = axes.secondary_xaxis("top")
    precision.set_xticks(
        places, labels=_percentages(right, counts.sum(axis=0)), rotation=90 if len(counts) > 12 else 0, fontsize=points
    )
    precision.set_xlabel("precision")


def _percentages(parts: NDArray[Any], wholes: NDArray[Any]) -> list[str]:
    """Whole percents; a dash of what is of nothing."""
    return [f"{part / whole:.0%}" if whole else "-" for part, whole in zip(parts, wholes, strict=True)]
