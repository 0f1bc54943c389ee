"""Pictures that a run leaves: learning curves and a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from edgecnn.core.atomic import atomic_path
from edgecnn.core.labels import LabelMap
from edgecnn.core.run_folder import EpochRecord


def plot_history(history: Sequence[EpochRecord], path: Path) -> None:
    """Loss and accuracy by epoch, on training and validation data, the phases one after the other."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for field, label, colour in ((name, "training", "C0"), (f"val_{name}", "validation", "C1")):
            for start, end in _phases(history):
                # A phase of one epoch is a point, and no line joins two phases: the next measures in its own way.
                values = [getattr(epoch, field) for epoch in history[start:end]]
                axes.plot(range(start + 1, end + 1), values, colour, marker=".", label=label if start == 0 else None)
        for start, _ in _phases(history):
            if start:
                axes.axvline(start + 0.5, color="gray", linewidth=0.8, linestyle="--")
            axes.text(start + 0.6, 1.01, history[start].phase, transform=axes.get_xaxis_transform(), fontsize=8)
        axes.set(xlabel="epoch", ylabel=name, xlim=(0.5, len(history) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def plot_confusion(truth: NDArray[Any], decisions: NDArray[Any], labels: LabelMap, path: Path) -> None:
    """Rows are the true class, columns the decision; colour is the share of the row, the figure a count."""
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (truth, decisions), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.4 * len(labels) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="decision", ylabel="truth", xticks=range(len(labels)), yticks=range(len(labels)))
    axes.set_xticklabels(labels, rotation=90 if max(map(len, labels)) > 3 else 0)
    axes.set_yticklabels(labels)
    if len(labels) <= 30:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    _save(figure, path)


def _phases(history: Sequence[EpochRecord]) -> list[tuple[int, int]]:
    """Where in `history` each phase starts and ends."""
    changes = [index for index in range(1, len(history)) if history[index].phase != history[index - 1].phase]
    return list(pairwise((0, *changes, len(history))))


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
