"""`edgecnn qat`: quantization-aware training of a run, begun where post-training quantization ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecnn.core.dataset import TRAIN, VALIDATION
from edgecnn.core.errors import InputError, Interrupted
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.progress import Log, Progress, silent
from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import EpochRecord, QatRecord, RunFolder, RunRecord, read_run, write_run
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


def train_quantization_aware(
    run: Path,
    settings: QatSettings,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
    log: Log = lambda line: None,
) -> RunRecord:
    """Adds quantization-aware weights to a run: those of the best epoch by validation accuracy.

    The calibrated start counts as epoch 0, so the result is never worse than it. Layers that were frozen stay frozen.
    Ctrl-C keeps the best so far and raises `Interrupted`; with `resume` the training goes on after its last finished
    epoch. Earlier weights of this kind are replaced only with `force`; with both, what can be gone on from is, and else
    everything starts anew. Raises `InputError` for what is not a run folder.
    """
    folder, record = read_run(run)
    if not force:
        if resume and _is_complete(folder, record, settings):
            log(f"{folder.path} has its quantization-aware weights already")
            return record
        _check_nothing_is_lost(folder, record, resume=resume)
    make_repeatable(settings.seed)
    dataset = dataset_of_run(record, progress)
    spec = record.preprocess
    calibration = calibrate_with(dataset.splits[TRAIN], spec, settings.calibration_images, settings.seed)
    model = calibrated_model(load_float_model(folder, record), spec, calibration.images)
    validation = labeled_pixels(dataset.splits[VALIDATION], spec, progress)
    decisions = probabilities_of(model, validation.pixels, spec, "validation", progress).argmax(axis=1)
    start = float((decisions == validation.classes).mean())
    # Less than one more right decision is no improvement: Keras gives accuracies in float32.
    baseline_to_beat = start + 0.5 / len(decisions)

    journal = _journal(folder, settings, force=force, resume=resume, log=log)
    interrupted = False
    try:
        if settings.epochs:
            photos = labeled_pixels(dataset.splits[TRAIN], spec, progress)
            _fit(model, photos, validation, folder, record, settings, baseline_to_beat, journal, progress)
    except KeyboardInterrupt:
        if not journal.epochs and _is_complete(folder, record):
            journal.remove()
            raise Interrupted(f"interrupted after 0 epochs; {run} holds the weights that it had") from None
        interrupted = True
    record = _finish(model, folder, record, settings, start, baseline_to_beat, journal.history)
    if interrupted and journal.epochs:
        raise Interrupted(
            f"interrupted after {journal.epochs} epochs; {run} holds the best so far and can be exported, "
            "or gone on with by --resume"
        )
    journal.remove()
    if interrupted:
        raise Interrupted(f"interrupted after 0 epochs; {run} holds the calibrated start and can be exported")
    return record


def calibrated_model(model: keras.Model, spec: PreprocessSpec, images: Sequence[Image]) -> keras.Model:
    """A quantization-aware model of a float one, with ranges and biases by prepared images and no training yet."""
    folded = fold_model(model)
    ranges = observe_ranges(folded, normalized_batches(images, spec))
    correct_biases(folded, normalized_batches(images, spec))
    return quantize_aware(folded, spec, ranges)


def load_quantization_aware_model(folder: RunFolder, record: RunRecord) -> keras.Model:
    """The quantization-aware model of a run that has one."""
    model = quantize_aware(fold_model(load_float_model(folder, record)), record.preprocess)
    model.load_weights(folder.qat_weights)
    return model


def _is_complete(folder: RunFolder, record: RunRecord, settings: QatSettings | None = None) -> bool:
    """Whether a run has weights of all the epochs that were asked for, if they were asked for with these settings."""
    if record.qat is None or not folder.qat_weights.exists() or is_unfinished(folder.unfinished_qat):
        return False
    # Ctrl-C before the first epoch leaves the calibrated start.
    trained = record.qat.settings.epochs == 0 or any(epoch.phase == "qat" for epoch in record.history)
    return trained and settings in (None, record.qat.settings)


def _check_nothing_is_lost(folder: RunFolder, record: RunRecord, *, resume: bool) -> None:
    if is_unfinished(folder.unfinished_qat) and not resume:
        raise InputError(
            f"{folder.path} holds an unfinished quantization-aware training; go on with --resume, or add --force to "
            "start anew"
        )
    if _is_complete(folder, record):
        raise InputError(f"{folder.path} has quantization-aware weights already; add --force to replace them")


def _journal(folder: RunFolder, settings: QatSettings, *, force: bool, resume: bool, log: Log) -> Journal:
    """The journal of this training, taken up where it stopped or begun."""
    weights = {"float weights": sha256_of(folder.float_weights)}
    journal = Journal(folder.unfinished_qat, task_of(settings, **weights))
    if resume and is_unfinished(folder.unfinished_qat):
        try:
            journal.take_up()
            return journal
        except InputError:
            if not force:
                raise
    elif resume and not force:
        log(f"nothing to go on from in {folder.path}: starting at the beginning")
    journal.begin()
    return journal


def _fit(
    model: keras.Model,
    photos: Labeled,
    validation: Labeled,
    folder: RunFolder,
    record: RunRecord,
    settings: QatSettings,
    baseline_to_beat: float,
    journal: Journal,
    progress: Progress,
) -> None:
    spec, labels = record.preprocess, LabelMap(record.labels)
    train, held_out = (
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
        labels,
        VAL_ACCURACY,
        label_smoothing=record.settings.label_smoothing,
    )
    variation = Variation(record.settings.augment, record.settings.mixup)
    fit(
        model,
        lambda step: shuffled_photos(train, spec, settings.batch_size, variation, seed=settings.seed, first_step=step),
        pixel_batches(held_out, spec, settings.batch_size),
        Plan(
            "qat",
            settings.epochs,
            steps_per_epoch(len(train.rows), settings.batch_size),
            VAL_ACCURACY,
            baseline_to_beat=baseline_to_beat,
        ),
        journal,
        tensorboard=folder.tensorboard,
        progress=progress,
    )


def _finish(
    model: keras.Model,
    folder: RunFolder,
    record: RunRecord,
    settings: QatSettings,
    start: float,
    baseline_to_beat: float,
    history: list[EpochRecord],
) -> RunRecord:
    best_epoch, best = 0, start
    for epoch in history:
        if epoch.val_accuracy > max(best, baseline_to_beat):
            best_epoch, best = epoch.epoch, epoch.val_accuracy
    float_history = tuple(epoch for epoch in record.history if epoch.phase != "qat")
    record = record.model_copy(
        update={
            "history": (*float_history, *history),
            "qat": QatRecord(settings=settings, best_epoch=best_epoch, val_accuracy=best, start_val_accuracy=start),
        }
    )
    save_weights(model, folder.qat_weights)
    marked = best_epochs(record.history, record.settings.monitor, record.qat)
    write_learning_curves(record.history, marked, folder.learning_curves)
    write_run(folder, record)
    return record
