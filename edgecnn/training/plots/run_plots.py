"""The charts and pictures of a training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecnn.core.dataset import TRAIN
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.report.charts import write_confusion_matrix, write_learning_curves
from edgecnn.training.features.cache import cached_pixels
from edgecnn.training.fitting.input_pipeline import classes_of
from edgecnn.training.fitting.phases import RunContext
from edgecnn.training.plots.augment_sheet import photos_to_show, write_augment_sheet
from edgecnn.training.plots.mistakes import plot_mistakes
from edgecnn.training.results import Measured


def draw(measured: Measured, context: RunContext) -> None:
    """Write learning curves, confusion matrix and most confident mistakes, and augmented photos if there were any.

    Args:
        measured: The split that confusions and mistakes are from.
        context: The training run.

    Raises:
        WriteError: If a file cannot be written.
    """
    folder, history = context.folder, context.journal.history
    write_learning_curves(history, best_epochs(history, context.monitor.name), folder.learning_curves)
    labels = [entry.label for entry in measured.metrics.per_class]
    write_confusion_matrix(labels, measured.metrics.confusion, folder.confusion_matrix)
    _draw_mistakes(measured, context, folder.path / "mistakes.png")
    if any(epoch.phase != "head" for epoch in history):
        _draw_variants(context, folder.path / "augmentation.png")


def _draw_mistakes(measured: Measured, context: RunContext, path: Path) -> None:
    examples = context.dataset.splits[measured.split]
    pixels = cached_pixels(examples, context.spec, context.progress)
    names = [example.path.name for example in examples]
    plot_mistakes(pixels, measured.probabilities, measured.truth, path, labels=context.dataset.labels, names=names)


def _draw_variants(context: RunContext, path: Path) -> None:
    examples = context.dataset.splits[TRAIN]
    shown = photos_to_show(classes_of(examples), context.settings.seed)
    chosen = [examples[index] for index in shown]
    pixels = np.asarray(cached_pixels(chosen, context.spec, context.progress))
    names = [context.dataset.labels[example.label] for example in chosen]
    write_augment_sheet(pixels, context.settings.augment, context.settings.seed, path, names=names)
