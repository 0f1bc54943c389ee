"""The phases of a training run: a head on frozen features, fine-tuning, or a whole network from random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.core.dataset import TRAIN, VALIDATION, Dataset, all_examples
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress
from edgecnn.core.run.run_folder import Phase, RunFolder
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.features.cache import cached_features, cached_pixels
from edgecnn.training.features.row_store import Rows
from edgecnn.training.fitting.distribution import Execution
from edgecnn.training.fitting.input_pipeline import (
    Samples,
    Variation,
    classes_of,
    feature_batches,
    pixel_batches,
    shuffled_features,
    shuffled_photos,
    steps_per_epoch,
)
from edgecnn.training.fitting.journal import Journal
from edgecnn.training.fitting.loop import Plan, fit
from edgecnn.training.fitting.monitor import Monitor
from edgecnn.training.fitting.optimizer import class_weights, compile_classifier, one_hot, optimizer_of
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import HEAD, head_model, unfreeze

_STEPS_PER_CALL = 256
"""Number of steps of a head that TensorFlow runs per call: one takes less time than the call from Python would."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """A training run's settings, data and outputs, which its phases share."""

    folder: RunFolder
    dataset: Dataset
    spec: PreprocessSpec
    settings: TrainSettings
    dropout: float
    """Dropout rate before the last layer, from 0 to 1."""
    monitor: Monitor
    execution: Execution
    journal: Journal
    progress: Progress

    @property
    def tensorboard(self) -> Path | None:
        """Folder for logs; None for the workers that write none."""
        return self.folder.tensorboard if self.execution.is_chief else None

    def samples(self, split: str, rows: Rows) -> Samples:
        """Add targets and weights to the rows of a split.

        Args:
            split: Name of the split.
            rows: Pixels or features of all its photos, in order.

        Returns:
            The rows, one-hot targets, and weights that are balanced if the settings say so.
        """
        labels = self.dataset.labels.names
        classes = classes_of(self.dataset.splits[split])
        return Samples(rows, one_hot(classes, labels), class_weights(classes, labels, balance=self.settings.balance))


def split_features(backbone: keras.Model, context: RunContext) -> dict[str, Rows]:
    """Compute the features of all photos, or take them from the cache.

    Args:
        backbone: Frozen backbone.
        context: The training run.

    Returns:
        Features of each split, float32 `[n, features]`, by its name.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
        WriteError: The cache cannot be used.
    """
    splits = context.dataset.splits
    rows = cached_features(backbone, all_examples(context.dataset), context.spec, context.progress)
    return dict(zip(splits, rows.split(map(len, splits.values())), strict=True))


def fit_head(model: keras.Model, backbone: keras.Model, context: RunContext) -> None:
    """Train a head on the frozen backbone's features, and copy its weights to a model.

    Args:
        model: The whole network; only its head changes.
        backbone: The frozen backbone, not replicated and in float32.
        context: The training run.
    """
    settings, dataset = context.settings, context.dataset
    features = split_features(backbone, context)
    train, validation = (context.samples(split, features[split]) for split in (TRAIN, VALIDATION))
    plan = _plan(context, "head", len(train.rows), settings.epochs)
    with context.execution.strategy.scope():
        head = head_model(train.rows.shape[-1], len(dataset.labels), context.dropout)
        compile_classifier(
            head,
            optimizer_of(
                settings, settings.learning_rate, steps_per_epoch=plan.steps_per_epoch, epochs=settings.epochs
            ),
            dataset.labels,
            context.monitor,
            label_smoothing=settings.label_smoothing,
            # The warm-up callback must run before every step.
            steps_per_execution=1 if plan.warmup_steps else min(plan.steps_per_epoch, _STEPS_PER_CALL),
        )
    try:
        fit(
            head,
            lambda step: shuffled_features(train, settings.batch_size, seed=settings.seed, first_step=step),
            feature_batches(validation),
            plan,
            context.journal,
            tensorboard=context.tensorboard,
            progress=context.progress,
        )
    finally:
        model.get_layer(HEAD).set_weights(head.get_layer(HEAD).get_weights())


def fine_tune(model: keras.Model, context: RunContext) -> None:
    """Train the last blocks as well; keep the weights of the head phase if no epoch beats its monitored value.

    Args:
        model: The network after `fit_head`.
        context: The training run.
    """
    settings, monitor = context.settings, context.monitor
    with context.execution.strategy.scope():
        unfreeze(model, settings.unfreeze, settings.model)
    values = [epoch.monitored for epoch in context.journal.history if epoch.phase == "head"]
    baseline_to_beat = min(values) if monitor.mode == "min" else max(values)
    _fit_on_photos(
        model,
        context,
        "fine_tune",
        epochs=settings.fine_tune_epochs,
        learning_rate=settings.fine_tune_learning_rate,
        baseline_to_beat=baseline_to_beat,
    )


def fit_from_scratch(model: keras.Model, context: RunContext) -> None:
    """Train every layer of a network that starts with random weights.

    Args:
        model: The network.
        context: The training run.
    """
    settings = context.settings
    _fit_on_photos(model, context, "scratch", epochs=settings.epochs, learning_rate=settings.learning_rate)


def _fit_on_photos(
    model: keras.Model,
    context: RunContext,
    phase: Phase,
    *,
    epochs: int,
    learning_rate: float,
    baseline_to_beat: float | None = None,
) -> None:
    settings, spec, dataset = context.settings, context.spec, context.dataset
    train, validation = (
        context.samples(split, cached_pixels(dataset.splits[split], spec, context.progress))
        for split in (TRAIN, VALIDATION)
    )
    plan = _plan(context, phase, len(train.rows), epochs, baseline_to_beat=baseline_to_beat)
    with context.execution.strategy.scope():
        compile_classifier(
            model,
            optimizer_of(settings, learning_rate, steps_per_epoch=plan.steps_per_epoch, epochs=epochs),
            dataset.labels,
            context.monitor,
            label_smoothing=settings.label_smoothing,
            xla=context.execution.record.xla,
        )
    variation = Variation(settings.augment, settings.mixup)
    fit(
        model,
        lambda step: shuffled_photos(train, spec, settings.batch_size, variation, seed=settings.seed, first_step=step),
        pixel_batches(validation, spec, settings.batch_size),
        plan,
        context.journal,
        tensorboard=context.tensorboard,
        progress=context.progress,
    )


def _plan(context: RunContext, phase: Phase, count: int, epochs: int, *, baseline_to_beat: float | None = None) -> Plan:
    settings = context.settings
    steps = steps_per_epoch(count, settings.batch_size)
    return Plan(
        phase,
        epochs,
        steps,
        context.monitor,
        patience=settings.patience,
        plateau=settings.schedule == "plateau",
        warmup_steps=0 if settings.schedule == "cosine" else round(settings.warmup_epochs * steps),
        # A head that diverged to NaN is no baseline: nothing would ever be better.
        baseline_to_beat=None if baseline_to_beat is None or np.isnan(baseline_to_beat) else baseline_to_beat,
    )
