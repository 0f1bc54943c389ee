"""`edgecnn train`: a head on frozen features first, then, if asked for, the last blocks with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from edgecnn.core.card import DatasetRecord
from edgecnn.core.dataset import (
    TEST,
    TRAIN,
    VALIDATION,
    Dataset,
    require_trainable,
    scan_dataset,
    with_all_splits,
)
from edgecnn.core.errors import InputError, Interrupted
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run_folder import EpochRecord, RunFolder, RunRecord, write_run
from edgecnn.core.settings import TrainSettings, weights_option
from edgecnn.core.versions import versions_of
from edgecnn.train.backbones import blocks, build_backbone
from edgecnn.train.cache import cached_features
from edgecnn.train.keras import keras
from edgecnn.train.loop import compile_classifier, fit, make_repeatable, predict, temporary_checkpoint
from edgecnn.train.model import HEAD, attach_head, freeze, head_model, preprocess_spec
from edgecnn.train.photos import augmented_batches, batches, classes_of, labelled_pixels
from edgecnn.train.plots import plot_confusion, plot_history
from edgecnn.train.weights import save_weights
from edgecnn.train.zoo import backbone_spec

VERSIONED_PACKAGES = (
    "edgecnn",
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "numpy",
    "opencv-python",
    "ai-edge-litert",
)

_Status = Literal["complete", "interrupted"]


@dataclass(frozen=True, slots=True)
class _Training:
    """What the phases share; `history` grows as they go."""

    folder: RunFolder
    found: frozenset[Path]
    """What of the run folder and its logs was there before."""
    dataset: Dataset
    spec: PreprocessSpec
    settings: TrainSettings
    progress: Progress
    history: list[EpochRecord] = field(default_factory=list)


def train(
    data: Path,
    run: Path,
    settings: TrainSettings,
    *,
    strict: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> RunRecord:
    """Trains a classifier on the folder `data` and leaves the run folder `run`.

    Ctrl-C after the first epoch leaves a usable run, with the best epoch so far, and raises `Interrupted`. Raises
    `DataError` and `InputError`; an existing run is replaced only with `force`.
    """
    spec = preprocess_spec(settings)
    folder = _fresh_run(run, force)
    training = _Training(
        folder, _folder_and_logs(folder), _scan(data, settings, strict, progress), spec, settings, progress
    )
    make_repeatable(settings.seed)
    weights = weights_option(settings.weights)
    backbone = build_backbone(
        backbone_spec(settings.model, settings.alpha), height=spec.height, width=spec.width, weights=weights
    )
    model = attach_head(backbone, len(training.dataset.labels), settings.dropout)
    _check_unfreeze(model, settings)

    status: _Status = "complete"
    try:
        _fit_head(model, backbone, training)
        if settings.fine_tune_epochs:
            _fine_tune(model, training)
    except KeyboardInterrupt:
        if not training.history:
            _take_back(training)
            raise
        status = "interrupted"
    record = _finish(model, training, status)
    if status == "interrupted":
        epochs = len(training.history)
        raise Interrupted(f"interrupted after {epochs} epochs; {run} holds the best of them and can be exported")
    return record


def _fresh_run(run: Path, force: bool) -> RunFolder:
    folder = RunFolder(run)
    if folder.record_file.exists() and not force:
        raise InputError(f"{run} already holds a run; choose another --out, or add --force to replace it")
    if run.exists() and not run.is_dir():
        raise InputError(f"{run} is a file; expected a folder, or a name for a new one")
    return folder


def _folder_and_logs(folder: RunFolder) -> frozenset[Path]:
    return frozenset(
        path for path in (folder.path, folder.tensorboard, *folder.tensorboard.rglob("*")) if path.exists()
    )


def _take_back(training: _Training) -> None:
    """Removes what training has put into the run folder so far."""
    for path in sorted(_folder_and_logs(training.folder) - training.found, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


def _scan(data: Path, settings: TrainSettings, strict: bool, progress: Progress) -> Dataset:
    dataset = scan_dataset(data, strict=strict, progress=lambda done, total: progress("reading photos", done, total))
    require_trainable(dataset)
    return with_all_splits(
        dataset,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )


def _check_unfreeze(model: keras.Model, settings: TrainSettings) -> None:
    known = len(blocks(model))
    if settings.fine_tune_epochs and settings.unfreeze > known:
        raise InputError(f"{settings.model} has {known} blocks, got --unfreeze {settings.unfreeze}")


def _fit_head(model: keras.Model, backbone: keras.Model, training: _Training) -> None:
    """Trains a head on the frozen backbone's features, and gives `model` its weights."""
    dataset, settings = training.dataset, training.settings
    examples = {split: dataset.splits[split] for split in (TRAIN, VALIDATION)}
    labelled = {
        split: (
            np.array(cached_features(backbone, examples[split], training.spec, training.progress)),
            classes_of(examples[split]),
        )
        for split in examples
    }
    head = head_model(backbone.output_shape[-1], len(dataset.labels), settings.dropout)
    compile_classifier(head, settings.learning_rate)
    try:
        with temporary_checkpoint(training.folder, "head") as checkpoint:
            fit(
                head,
                labelled[TRAIN],
                labelled[VALIDATION],
                phase="head",
                epochs=settings.epochs,
                checkpoint=checkpoint,
                tensorboard=training.folder.tensorboard,
                history=training.history,
                progress=training.progress,
                batch_size=settings.batch_size,
            )
    finally:
        model.get_layer(HEAD).set_weights(head.get_layer(HEAD).get_weights())


def _fine_tune(model: keras.Model, training: _Training) -> None:
    """Trains the last blocks too; keeps what beats the head's validation loss."""
    dataset, spec, settings = training.dataset, training.spec, training.settings
    freeze(model, settings.unfreeze)
    compile_classifier(model, settings.fine_tune_learning_rate)
    photos = labelled_pixels(dataset.splits[TRAIN], spec, training.progress)
    validation = labelled_pixels(dataset.splits[VALIDATION], spec, training.progress)
    with temporary_checkpoint(training.folder, "fine_tune") as checkpoint:
        fit(
            model,
            (augmented_batches(photos, spec, settings.batch_size, settings.augment, settings.seed),),
            batches(validation, spec, settings.batch_size),
            phase="fine_tune",
            epochs=settings.fine_tune_epochs,
            checkpoint=checkpoint,
            tensorboard=training.folder.tensorboard,
            history=training.history,
            progress=training.progress,
            beat=min(epoch.val_loss for epoch in training.history),
            steps_per_epoch=-(-len(photos.classes) // settings.batch_size),
        )


def _finish(model: keras.Model, training: _Training, status: _Status) -> RunRecord:
    """Measures the model and writes the run; what an earlier run left there goes once that is done."""
    folder, dataset, settings = training.folder, training.dataset, training.settings
    metrics = _measure(model, training)
    save_weights(model, folder.float_weights)
    backbone = backbone_spec(settings.model, settings.alpha)
    record = RunRecord(
        name=folder.path.resolve().name,
        created=datetime.now(UTC),
        status=status,
        backbone=backbone.name if backbone.alpha is None else f"{backbone.name}_{backbone.alpha:g}",
        settings=settings,
        preprocess=training.spec,
        labels=dataset.labels.names,
        data=dataset.root.resolve(),
        dataset=DatasetRecord(fingerprint=dataset.fingerprint, counts=dataset.counts),
        class_counts={split: dataset.class_counts(split) for split in dataset.splits},
        unreadable=tuple(str(path) for path in dataset.unreadable),
        history=tuple(training.history),
        metrics=metrics,
        versions=versions_of(VERSIONED_PACKAGES),
    )
    write_run(folder, record)
    plot_history(training.history, folder.path / "learning_curves.png")
    _remove_outdated(training)
    return record


def _remove_outdated(training: _Training) -> None:
    """Removes what was made of an earlier run's weights, and its logs."""
    folder = training.folder
    folder.qat_weights.unlink(missing_ok=True)
    folder.report.unlink(missing_ok=True)
    for outdated in (folder.export, folder.results):
        shutil.rmtree(outdated, ignore_errors=True)
    for log in training.found:
        if log.is_file():
            log.unlink()


def _measure(model: keras.Model, training: _Training) -> dict[str, float]:
    """Accuracy on validation and, where there are any, test photos, whose confusions are drawn."""
    metrics: dict[str, float] = {}
    for split in (VALIDATION, TEST):
        if not training.dataset.splits.get(split):
            continue
        photos = labelled_pixels(training.dataset.splits[split], training.spec, training.progress)
        decisions = predict(model, photos, training.spec, split, training.progress)
        metrics[f"{split}_accuracy"] = float((decisions == photos.classes).mean())
        picture = training.folder.path / "confusion_matrix.png"
        plot_confusion(photos.classes, decisions, training.dataset.labels, picture)
    return metrics
