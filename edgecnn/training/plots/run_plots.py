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


def draw(measured: Measured, training: RunContext) -> None:
    """Write learning curves, confusion matrix and most confident mistakes, and augmented photos if there were any.

    Args:
        measured: The split that confusions and mistakes are from.
        training: The training.

    Raises:
        WriteError: If a file cannot be written.
    """
    folder, history = training.folder, training.journal.history
    write_learning_curves(history, best_epochs(history, training.monitor.name), folder.learning_curves)
    labels = [entry.label for entry in measured.metrics.per_class]
    write_confusion_matrix(labels, measured.metrics.confusion, folder.confusion_matrix)
    _draw_mistakes(measured, training, folder.path / "mistakes.png")
    if any(epoch.phase != "head" for epoch in history):
        _draw_variants(training, folder.path / "augmentation.png")


def _draw_mistakes(measured: Measured, training: RunContext, path: Path) -> None:
    examples = training.dataset.splits[measured.split]
    pixels = cached_pixels(examples, training.spec, training.progress)
    names = [example.path.name for example in examples]
    plot_mistakes(pixels, measured.probabilities, measured.truth, path, labels=training.dataset.labels, names=names)


def _draw_variants(training: RunContext, path: Path) -> None:
    examples = training.dataset.splits[TRAIN]
    shown = photos_to_show(classes_of(examples), training.settings.seed)
    chosen = [examples[index] for index in shown]
    pixels = np.asarray(cached_pixels(chosen, training.spec, training.progress))
    names = [training.dataset.labels[example.label] for example in chosen]
    write_augment_sheet(pixels, training.settings.augment, training.settings.seed, path, names=names)
