"""The pictures that a run leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecnn.core.dataset import TRAIN
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.training.features.cache import cached_pixels
from edgecnn.training.fitting.input_pipeline import classes_of
from edgecnn.training.fitting.phases import RunContext
from edgecnn.training.plots.augment_sheet import photos_to_show, write_augment_sheet
from edgecnn.training.plots.mistakes import plot_mistakes
from edgecnn.training.plots.plots import plot_confusion, plot_history
from edgecnn.training.results import Measured


def draw(measured: Measured, training: RunContext) -> None:
    """Learning curves, confusions and most confident mistakes of a split, and how photos were varied, if they were."""
    folder = training.folder.path
    history = training.journal.history
    plot_history(history, best_epochs(history, training.monitor.name), folder / "learning_curves.png")
    plot_confusion(
        measured.truth, measured.probabilities.argmax(axis=1), training.dataset.labels, folder / "confusion_matrix.png"
    )
    _draw_mistakes(measured, training, folder / "mistakes.png")
    if any(epoch.phase != "head" for epoch in history):
        _draw_variants(training, folder / "augmentation.png")


def _draw_mistakes(measured: Measured, training: RunContext, path: Path) -> None:
    examples = training.dataset.splits[measured.split]
    pixels = cached_pixels(examples, training.spec, training.progress)
    names = [example.path.name for example in examples]
    plot_mistakes(pixels, measured.probabilities, measured.truth, training.dataset.labels, names, path)


def _draw_variants(training: RunContext, path: Path) -> None:
    examples = training.dataset.splits[TRAIN]
    shown = photos_to_show(classes_of(examples), training.settings.seed)
    chosen = [examples[index] for index in shown]
    pixels = np.asarray(cached_pixels(chosen, training.spec, training.progress))
    names = [training.dataset.labels[example.label] for example in chosen]
    write_augment_sheet(pixels, training.settings.augment, training.settings.seed, path, names=names)
