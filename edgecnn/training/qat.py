"""`edgecnn qat`: quantization-aware training of a run, which starts from its post-training quantization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.core.dataset import TRAIN, VALIDATION, Dataset
from edgecnn.core.errors import InputError, Interrupted
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.progress import Log, Progress, silent
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import QatRecord, RunFolder, RunRecord, read_run, write_run
from edgecnn.core.settings.command_settings import QatSettings
from edgecnn.report.charts import write_learning_curves
from edgecnn.training.fitting.input_pipeline import (
    Labeled,
    Samples,
    Variation,
    labeled_pixels,
    pixel_batches,
    shuffled_photos,
    steps_per_epoch,
)
from edgecnn.training.fitting.journal import Journal, is_unfinished, task_of
from edgecnn.training.fitting.loop import Plan, fit, make_repeatable, probabilities_of
from edgecnn.training.fitting.monitor import VAL_ACCURACY
from edgecnn.training.fitting.optimizer import class_weights, compile_classifier, one_hot
from edgecnn.training.keras import keras
from edgecnn.training.networks.classifier_model import load_float_model
from edgecnn.training.networks.weights import save_weights
from edgecnn.training.normalization import normalized_batches
from edgecnn.training.quantization.bias_correction import correct_biases
from edgecnn.training.quantization.calibration import calibrate_with
from edgecnn.training.quantization.fold_batch_norm import fold_model
from edgecnn.training.quantization.quantization_aware import observe_ranges, quantize_aware


@dataclass(frozen=True, slots=True)
class _Context:
    """A run, the settings of its quantization-aware training, and the accuracy of the calibrated start."""

    folder: RunFolder
    record: RunRecord
    settings: QatSettings
    journal: Journal
    start_accuracy: float
    baseline_to_beat: float
    progress: Progress


def train_quantization_aware(
    run: Path,
    settings: QatSettings,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
    log: Log = lambda line: None,
) -> RunRecord:
    """Add quantization-aware weights to a run: those of the epoch with the best validation accuracy.

    The calibrated start counts as epoch 0, so the result is never worse than it. Layers that were frozen stay frozen.
    If Ctrl-C interrupts the training, the best weights so far are kept.

    Args:
        run: Run folder.
        settings: Epochs, learning rate, calibration and seed.
        force: Replace existing quantization-aware weights.
        resume: Continue after the last finished epoch of an interrupted training. If `force` is set too and the
            training cannot be resumed, start over.
        progress: Receives the progress of each task.
        log: Receives messages, one line each.

    Returns:
        The record of the run.

    Raises:
        InputError: The folder is not a run, or it contains quantization-aware weights or an unfinished training.
        DataError: The photos of the run are missing or have changed.
        WriteError: The disk is full or not writable.
        Interrupted: Ctrl-C; the message says which weights the run contains.
    """
    folder, record = read_run(run)
    if not force:
        if resume and _is_complete(folder, record, settings):
            log(f"{folder.path} already has its quantization-aware weights")
            return record
        _check_nothing_is_lost(folder, record, resume=resume)
    make_repeatable(settings.seed)
    dataset = dataset_of_run(record, progress)
    spec = record.preprocess
    calibration = calibrate_with(dataset.splits[TRAIN], spec, settings.calibration_images, settings.seed)
    model = calibrated_model(load_float_model(folder, record), spec, calibration.images)
    validation = labeled_pixels(dataset.splits[VALIDATION], spec, progress)
    decisions = probabilities_of(model, validation.pixels, spec, "validation", progress).argmax(axis=1)
    start_accuracy = float((decisions == validation.classes).mean())
    context = _Context(
        folder=folder,
        record=record,
        settings=settings,
        journal=_journal(folder, settings, force=force, resume=resume, log=log),
        start_accuracy=start_accuracy,
        # Half a correct decision more: Keras computes accuracies in float32, so an equal one may look slightly better.
        baseline_to_beat=start_accuracy + 0.5 / len(decisions),
        progress=progress,
    )
    return _train_and_write(model, dataset, validation, context)


def calibrated_model(model: keras.Model, spec: PreprocessSpec, images: Sequence[Image]) -> keras.Model:
    """Convert a float model to a quantization-aware one with calibrated ranges and corrected biases.

    Args:
        model: Float model.
        spec: Its preprocessing.
        images: Prepared images for the calibration.

    Returns:
        The model before any training.
    """
    folded = fold_model(model)
    ranges = observe_ranges(folded, normalized_batches(images, spec))
    correct_biases(folded, normalized_batches(images, spec))
    return quantize_aware(folded, spec, ranges)


def load_quantization_aware_model(folder: RunFolder, record: RunRecord) -> keras.Model:
    """Load the quantization-aware model of a run.

    Args:
        folder: Folder of a run that has quantization-aware weights.
        record: Its record.

    Returns:
        The model with the trained weights.
    """
    model = quantize_aware(fold_model(load_float_model(folder, record)), record.preprocess)
    model.load_weights(folder.qat_weights)
    return model


def _is_complete(folder: RunFolder, record: RunRecord, settings: QatSettings | None = None) -> bool:
    """Return True if a run has weights of all epochs, trained with these settings if they are given."""
    if record.qat is None or not folder.qat_weights.exists() or is_unfinished(folder.unfinished_qat):
        return False
    # Ctrl-C before the first epoch leaves the calibrated start.
    trained = record.qat.settings.epochs == 0 or any(epoch.phase == "qat" for epoch in record.history)
    return trained and settings in (None, record.qat.settings)


def _check_nothing_is_lost(folder: RunFolder, record: RunRecord, *, resume: bool) -> None:
    if is_unfinished(folder.unfinished_qat) and not resume:
        raise InputError(
            f"{folder.path} contains an unfinished quantization-aware training; continue with --resume, or start over "
            "with --force"
        )
    if _is_complete(folder, record):
        raise InputError(f"{folder.path} already has quantization-aware weights; add --force to replace them")


def _journal(folder: RunFolder, settings: QatSettings, *, force: bool, resume: bool, log: Log) -> Journal:
    """Return the journal of this training, resumed or new."""
    weights = {"float weights": sha256_of(folder.float_weights)}
    journal = Journal(folder.unfinished_qat, task_of(settings, **weights))
    if resume and is_unfinished(folder.unfinished_qat):
        try:
            journal.resume()
            return journal
        except InputError:
            if not force:
                raise
    elif resume and not force:
        log(f"nothing to resume in {folder.path}: starting from the beginning")
    journal.begin()
    return journal


def _train_and_write(model: keras.Model, dataset: Dataset, validation: Labeled, context: _Context) -> RunRecord:
    """Train a calibrated model and add it to its run, also after Ctrl-C."""
    folder, journal = context.folder, context.journal
    interrupted = False
    try:
        if context.settings.epochs:
            photos = labeled_pixels(dataset.splits[TRAIN], context.record.preprocess, context.progress)
            _fit(model, photos, validation, context)
    except KeyboardInterrupt:
        if not journal.epochs and _is_complete(folder, context.record):
            journal.remove()
            raise Interrupted(f"interrupted after 0 epochs; {folder.path} keeps the weights that it had") from None
        interrupted = True
    record = _write(model, context)
    if interrupted and journal.epochs:
        raise Interrupted(
            f"interrupted after {journal.epochs} epochs; {folder.path} contains the best of them and can be exported, "
            "or continue with --resume"
        )
    journal.remove()
    if interrupted:
        raise Interrupted(
            f"interrupted after 0 epochs; {folder.path} contains the calibrated start and can be exported"
        )
    return record


def _fit(model: keras.Model, photos: Labeled, validation: Labeled, context: _Context) -> None:
    record, settings = context.record, context.settings
    spec = record.preprocess
    train_samples, validation_samples = (
        Samples(
            part.pixels,
            one_hot(part.classes, record.labels),
            class_weights(part.classes, record.labels, balance=record.settings.balance),
        )
        for part in (photos, validation)
    )
    compile_classifier(
        model,
        keras.optimizers.Adam(settings.learning_rate),
        LabelMap(record.labels),
        VAL_ACCURACY,
        label_smoothing=record.settings.label_smoothing,
    )
    variation = Variation(record.settings.augment, record.settings.mixup)
    fit(
        model,
        lambda step: shuffled_photos(
            train_samples, spec, settings.batch_size, variation, seed=settings.seed, first_step=step
        ),
        pixel_batches(validation_samples, spec, settings.batch_size),
        Plan(
            "qat",
            settings.epochs,
            steps_per_epoch(len(train_samples.rows), settings.batch_size),
            VAL_ACCURACY,
            baseline_to_beat=context.baseline_to_beat,
        ),
        context.journal,
        tensorboard=context.folder.tensorboard,
        progress=context.progress,
    )


def _write(model: keras.Model, context: _Context) -> RunRecord:
    """Write the weights, the updated learning curves and the record."""
    folder, record, history = context.folder, context.record, context.journal.history
    best_epoch, best_accuracy = 0, context.start_accuracy
    for epoch in history:
        if epoch.val_accuracy > max(best_accuracy, context.baseline_to_beat):
            best_epoch, best_accuracy = epoch.epoch, epoch.val_accuracy
    float_history = tuple(epoch for epoch in record.history if epoch.phase != "qat")
    qat = QatRecord(
        settings=context.settings,
        best_epoch=best_epoch,
        val_accuracy=best_accuracy,
        start_val_accuracy=context.start_accuracy,
    )
    record = record.model_copy(update={"history": (*float_history, *history), "qat": qat})
    save_weights(model, folder.qat_weights)
    marked = best_epochs(record.history, record.settings.monitor, record.qat)
    write_learning_curves(record.history, marked, folder.learning_curves)
    write_run(folder, record)
    return record
