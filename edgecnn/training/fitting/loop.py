"""One phase of a training run: Keras's training loop with the callbacks that every phase uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import WriteError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_folder import Phase
from edgecnn.training.features.row_store import Rows
from edgecnn.training.fitting.callbacks import (
    BestWeights,
    EarlyStopping,
    EpochLog,
    HalveOnPlateau,
    JournalWriter,
    Resumable,
    WarmUp,
)
from edgecnn.training.fitting.journal import Journal
from edgecnn.training.fitting.monitor import Monitor
from edgecnn.training.keras import keras, tf
from edgecnn.training.normalization import normalize

_PREDICT_BATCH = 32


class Plan(NamedTuple):
    """Length and learning-rate schedule of a phase."""

    phase: Phase
    epochs: int
    steps_per_epoch: int
    monitor: Monitor
    patience: int = 5
    """Number of epochs without progress after which the phase ends."""
    plateau: bool = True
    """Halve the learning rate after three epochs without progress."""
    warmup_steps: int = 0
    """Number of steps over which the learning rate rises; 0 if the optimizer's own schedule includes the warm-up."""
    baseline_to_beat: float | None = None
    """Value that an epoch must beat to count. If no epoch does, the model keeps its initial weights."""


def make_repeatable(seed: int, *, xla: bool = False) -> None:
    """Seed Python, NumPy and TensorFlow; on a CPU, the same seed then gives the same weights.

    Args:
        seed: Seed of all generators.
        xla: The training step is compiled with XLA, which has no repeatable gradient of a maximum. Repeatability is
            then not requested.
    """
    keras.utils.set_random_seed(seed)
    if not xla and not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def fit(
    model: keras.Model,
    batches_from: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    plan: Plan,
    journal: Journal,
    *,
    tensorboard: Path | None,
    progress: Progress = silent,
) -> None:
    """Fit a compiled model and leave it at its best epoch, also if it is interrupted.

    Epochs of this phase that `journal` already contains are not repeated.

    Args:
        model: Compiled model.
        batches_from: Function that returns the endless stream of training batches from a step on.
        validation: Batches of features or photos and their targets.
        plan: Length and learning-rate schedule of the phase.
        journal: Journal of the run, new or resumed.
        tensorboard: Folder for logs, or None for no logs.
        progress: Receives the number of finished steps and each epoch's validation metrics.

    Raises:
        WriteError: Weights, state or logs cannot be written.
    """
    initial_weights = model.get_weights()
    best = journal.best_weights(plan.phase)
    done = journal.epochs_of(plan.phase)
    try:
        if not journal.has_ended(plan.phase):
            # Before the restore: only a new optimizer's learning rate is the peak of the warm-up.
            callbacks = _callbacks(model, plan, journal, tensorboard, progress)
            if done:
                journal.restore(model)
            with _disk_errors_of(tensorboard):
                model.fit(
                    batches_from(done * plan.steps_per_epoch),
                    validation_data=validation,
                    initial_epoch=done,
                    epochs=plan.epochs,
                    steps_per_epoch=plan.steps_per_epoch,
                    callbacks=callbacks,
                    verbose=0,
                )
    finally:
        if best.exists():
            model.load_weights(best)
        else:
            model.set_weights(initial_weights)


def probabilities_of(
    model: keras.Model, pixels: NDArray[np.uint8] | Rows, spec: PreprocessSpec, split: str, progress: Progress = silent
) -> NDArray[np.float32]:
    """Compute the outputs of a Keras model for prepared photos.

    Args:
        model: Classifier for normalized pixels.
        pixels: Prepared photos, uint8 `[n, height, width, channels]`.
        spec: Preprocessing of the model, for its normalization.
        split: Name of the split, for the progress.
        progress: Receives the number of measured photos.

    Returns:
        Probabilities, float32 `[n, classes]`.
    """
    signature = tf.TensorSpec([None, *pixels.shape[1:]], tf.float32)
    network = tf.function(lambda batch: model(batch, training=False), input_signature=[signature])
    probabilities = np.empty((len(pixels), model.output_shape[-1]), np.float32)
    for start in range(0, len(pixels), _PREDICT_BATCH):
        rows = slice(start, start + _PREDICT_BATCH)
        probabilities[rows] = network(normalize(pixels[rows], spec))
        progress(f"measuring on {split}", min(start + _PREDICT_BATCH, len(pixels)), len(pixels))
    return probabilities


def _callbacks(
    model: keras.Model, plan: Plan, journal: Journal, tensorboard: Path | None, progress: Progress
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of a phase, at the state of the epoch that `journal` was resumed at."""
    # The names are keys in the journal's files.
    resumable: dict[str, Resumable] = {
        "best": BestWeights(journal.best_weights(plan.phase), plan.monitor, plan.baseline_to_beat),
        "stopping": EarlyStopping(plan.monitor, plan.patience),
    }
    if plan.plateau:
        resumable["plateau"] = HalveOnPlateau(plan.monitor)
    for name, state in journal.counters.items():
        resumable[name].restore(state)
    callbacks = [
        EpochLog(journal, progress, phase=plan.phase, epochs=plan.epochs, monitor=plan.monitor.name),
        *resumable.values(),
    ]
    if plan.warmup_steps:
        callbacks.append(WarmUp(plan.warmup_steps, float(model.optimizer.learning_rate.numpy())))
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(tensorboard / plan.phase, write_graph=False, profile_batch=0))
    # The journal comes last, because it stores the states that the other callbacks leave.
    return [*callbacks, JournalWriter(journal, resumable, epochs=plan.epochs)]


@contextmanager
def _disk_errors_of(folder: Path | None) -> Iterator[None]:
    """Turn the errors that TensorFlow raises for a log that it cannot write into `WriteError`."""
    try:
        yield
    except tf.errors.OpError as error:
        if folder is None or str(folder) not in str(error):
            raise
        reason = str(error).partition(str(folder))[2].partition("; ")[2].partition("\n")[0]
        raise WriteError(
            f"could not write to {folder}: {reason}; free some space, then repeat the command with --resume"
        ) from error
