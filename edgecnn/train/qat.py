"""`edgecnn qat`: quantisation-aware training of a run, begun where post-training quantisation ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecnn.core.dataset import TRAIN, VALIDATION
from edgecnn.core.errors import Interrupted
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run_dataset import dataset_of_run
from edgecnn.core.run_folder import EpochRecord, QatRecord, RunFolder, RunRecord, read_run, write_run
from edgecnn.core.settings import QatSettings
from edgecnn.train.calibration import calibrate_with
from edgecnn.train.convert import normalize
from edgecnn.train.fold import fold_model
from edgecnn.train.keras import keras
from edgecnn.train.loop import compile_classifier, fit, make_repeatable, predict, temporary_checkpoint
from edgecnn.train.model import load_float_model
from edgecnn.train.photos import Labelled, augmented_batches, batches, labelled_pixels
from edgecnn.train.plots import plot_history
from edgecnn.train.quantization import observe_ranges, quantize_aware
from edgecnn.train.weights import save_weights

_CALIBRATION_BATCH = 10


def train_quantization_aware(run: Path, settings: QatSettings, *, progress: Progress = silent) -> RunRecord:
    """Adds quantisation-aware weights to a run: those of the best epoch by validation accuracy.

    The calibrated start counts as epoch 0, so the result is never worse than it. Layers that were frozen stay frozen.
    Ctrl-C keeps the best so far and raises `Interrupted`. Raises `InputError` for what is not a run folder.
    """
    folder, record = read_run(run)
    make_repeatable(settings.seed)
    dataset = dataset_of_run(record, progress)
    spec = record.preprocess
    calibration = calibrate_with(dataset.splits[TRAIN], spec, settings.calibration_images, settings.seed)
    model = calibrated_model(load_float_model(folder, record), spec, calibration.images)
    validation = labelled_pixels(dataset.splits[VALIDATION], spec, progress)
    decisions = predict(model, validation, spec, "validation", progress)
    start = float((decisions == validation.classes).mean())
    # Less than one more right decision is no improvement: Keras gives accuracies in float32.
    to_beat = start + 0.5 / len(decisions)

    history: list[EpochRecord] = []
    interrupted = False
    try:
        if settings.epochs:
            photos = labelled_pixels(dataset.splits[TRAIN], spec, progress)
            _fit(model, photos, validation, folder, record, settings, to_beat, history, progress)
    except KeyboardInterrupt:
        interrupted = True
    record = _finish(model, folder, record, settings, start, to_beat, history)
    if interrupted:
        raise Interrupted(f"interrupted after {len(history)} epochs; {run} holds the best so far and can be exported")
    return record


def calibrated_model(model: keras.Model, spec: PreprocessSpec, images: Sequence[Image]) -> keras.Model:
    """A quantisation-aware model of a float one, with ranges from prepared images and no training yet."""
    folded = fold_model(model)
    groups = (images[start : start + _CALIBRATION_BATCH] for start in range(0, len(images), _CALIBRATION_BATCH))
    return quantize_aware(folded, spec, observe_ranges(folded, (normalize(np.stack(g), spec) for g in groups)))


def load_quantization_aware_model(folder: RunFolder, record: RunRecord) -> keras.Model:
    """The quantisation-aware model of a run that has one."""
    model = quantize_aware(fold_model(load_float_model(folder, record)), record.preprocess)
    model.load_weights(folder.qat_weights)
    return model


def _fit(
    model: keras.Model,
    photos: Labelled,
    validation: Labelled,
    folder: RunFolder,
    record: RunRecord,
    settings: QatSettings,
    to_beat: float,
    history: list[EpochRecord],
    progress: Progress,
) -> None:
    spec, changes = record.preprocess, record.settings.augment
    compile_classifier(model, settings.learning_rate)
    with temporary_checkpoint(folder, "qat") as checkpoint:
        fit(
            model,
            (augmented_batches(photos, spec, settings.batch_size, changes, settings.seed),),
            batches(validation, spec, settings.batch_size),
            phase="qat",
            epochs=settings.epochs,
            checkpoint=checkpoint,
            tensorboard=folder.tensorboard,
            history=history,
            progress=progress,
            monitor="val_accuracy",
            beat=to_beat,
            steps_per_epoch=-(-len(photos.classes) // settings.batch_size),
        )


def _finish(
    model: keras.Model,
    folder: RunFolder,
    record: RunRecord,
    settings: QatSettings,
    start: float,
    to_beat: float,
    history: list[EpochRecord],
) -> RunRecord:
    best_epoch, best = 0, start
    for epoch in history:
        if epoch.val_accuracy > max(best, to_beat):
            best_epoch, best = epoch.epoch, epoch.val_accuracy
    float_history = tuple(epoch for epoch in record.history if epoch.phase != "qat")
    record = record.model_copy(
        update={
            "history": (*float_history, *history),
            "qat": QatRecord(settings=settings, best_epoch=best_epoch, val_accuracy=best, start_val_accuracy=start),
        }
    )
    save_weights(model, folder.qat_weights)
    plot_history(record.history, folder.path / "learning_curves.png")
    write_run(folder, record)
    return record
