"""The phases of a training: a head on frozen features, the last blocks with it, or a whole network from nothing."""

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

_STEPS_AT_ONCE = 256
"""Steps of a head that TensorFlow does by itself; each takes less time than Python's part of a step would."""


@dataclass(frozen=True, slots=True)
class Training:
    """What the phases share."""

    folder: RunFolder
    dataset: Dataset
    spec: PreprocessSpec
    settings: TrainSettings
    dropout: float
    monitor: Monitor
    execution: Execution
    journal: Journal
    progress: Progress

    @property
    def tensorboard(self) -> Path | None:
        return self.folder.tensorboard if self.execution.is_chief else None

    def samples(self, split: str, rows: Rows) -> Samples:
        """A split's rows with their targets and weights."""
        labels = self.dataset.labels.names
        classes = classes_of(self.dataset.splits[split])
        return Samples(rows, one_hot(classes, labels), class_weights(classes, labels, balance=self.settings.balance))


def split_features(backbone: keras.Model, training: Training) -> dict[str, Rows]:
    """What a frozen backbone makes of the photos of every split, `[n, features]`."""
    splits = training.dataset.splits
    rows = cached_features(backbone, all_examples(training.dataset), training.spec, training.progress)
    return dict(zip(splits, rows.divided(map(len, splits.values())), strict=True))


def fit_head(model: keras.Model, backbone: keras.Model, training: Training) -> None:
    """Trains a head on the frozen backbone's features, and gives `model` its weights."""
    settings, dataset = training.settings, training.dataset
    features = split_features(backbone, training)
    train, validation = (training.samples(split, features[split]) for split in (TRAIN, VALIDATION))
    plan = _plan(training, "head", len(train.rows), settings.epochs)
    with training.execution.strategy.scope():
        head = head_model(train.rows.shape[-1], len(dataset.labels), training.dropout)
        compile_classifier(
            head,
            optimizer_of(
                settings, settings.learning_rate, steps_per_epoch=plan.steps_per_epoch, epochs=settings.epochs
            ),
            dataset.labels,
            training.monitor,
            label_smoothing=settings.label_smoothing,
            # A warm-up that is done by a callback sets every step's rate.
            steps_per_execution=1 if plan.warmup_steps else min(plan.steps_per_epoch, _STEPS_AT_ONCE),
        )
    try:
        fit(
            head,
            lambda step: shuffled_features(train, settings.batch_size, seed=settings.seed, first_step=step),
            feature_batches(validation),
            plan,
            training.journal,
            tensorboard=training.tensorboard,
            progress=training.progress,
        )
    finally:
        model.get_layer(HEAD).set_weights(head.get_layer(HEAD).get_weights())


def fine_tune(model: keras.Model, training: Training) -> None:
    """Trains the last blocks too; keeps what beats the head by the monitored figure."""
    settings, monitor = training.settings, training.monitor
    with training.execution.strategy.scope():
        unfreeze(model, settings.unfreeze, settings.model)
    values = [epoch.monitored for epoch in training.journal.history if epoch.phase == "head"]
    baseline_to_beat = min(values) if monitor.mode == "min" else max(values)
    _fit_on_photos(
        model, training, "fine_tune", settings.fine_tune_epochs, settings.fine_tune_learning_rate, baseline_to_beat
    )


def fit_from_scratch(model: keras.Model, training: Training) -> None:
    """Trains every layer of a network that starts with random weights."""
    _fit_on_photos(model, training, "scratch", training.settings.epochs, training.settings.learning_rate, None)


def _fit_on_photos(
    model: keras.Model,
    training: Training,
    phase: Phase,
    epochs: int,
    learning_rate: float,
    baseline_to_beat: float | None,
) -> None:
    settings, spec, dataset = training.settings, training.spec, training.dataset
    train, validation = (
        training.samples(split, cached_pixels(dataset.splits[split], spec, training.progress))
        for split in (TRAIN, VALIDATION)
    )
    plan = _plan(training, phase, len(train.rows), epochs, baseline_to_beat)
    with training.execution.strategy.scope():
        compile_classifier(
            model,
            optimizer_of(settings, learning_rate, steps_per_epoch=plan.steps_per_epoch, epochs=epochs),
            dataset.labels,
            training.monitor,
            label_smoothing=settings.label_smoothing,
            xla=training.execution.record.xla,
        )
    variation = Variation(settings.augment, settings.mixup)
    fit(
        model,
        lambda step: shuffled_photos(train, spec, settings.batch_size, variation, seed=settings.seed, first_step=step),
        pixel_batches(validation, spec, settings.batch_size),
        plan,
        training.journal,
        tensorboard=training.tensorboard,
        progress=training.progress,
    )


def _plan(training: Training, phase: Phase, count: int, epochs: int, baseline_to_beat: float | None = None) -> Plan:
    settings = training.settings
    steps = steps_per_epoch(count, settings.batch_size)
    return Plan(
        phase,
        epochs,
        steps,
        training.monitor,
        patience=settings.patience,
        plateau=settings.schedule == "plateau",
        warmup_steps=0 if settings.schedule == "cosine" else round(settings.warmup_epochs * steps),
        baseline_to_beat=None if baseline_to_beat is None or np.isnan(baseline_to_beat) else baseline_to_beat,
    )
