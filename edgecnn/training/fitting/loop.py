"""One phase of training: Keras's loop under the callbacks that are always on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import WriteError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_folder import Phase
from edgecnn.training.features.row_store import Rows
from edgecnn.training.fitting.callbacks import BestWeights, EpochLog, JournalKeeper, WarmUp
from edgecnn.training.fitting.journal import Journal
from edgecnn.training.fitting.monitor import Monitor
from edgecnn.training.keras import keras, tf
from edgecnn.training.normalization import normalize

_PREDICT_BATCH = 32
_PLATEAU_EPOCHS, _PLATEAU_FACTOR, _LOWEST_RATE = 3, 0.5, 1e-6


class Plan(NamedTuple):
    """How a phase is to go."""

    phase: Phase
    epochs: int
    steps_per_epoch: int
    monitor: Monitor
    patience: int = 5
    """Epochs without progress after which the phase ends."""
    plateau: bool = True
    """Whether the learning rate is halved after three epochs without progress."""
    warmup_steps: int = 0
    """How long the learning rate rises; a schedule that the optimizer has of its own brings its own warm-up."""
    baseline_to_beat: float | None = None
    """What an epoch must be better than to count: without such an epoch the model stays as it came."""


def make_repeatable(seed: int, *, xla: bool = False) -> None:
    """Seeds Python, numpy and TensorFlow; on a CPU, the same seed then gives the same weights.

    Not with `xla`, which has no repeatable gradient of a maximum.
    """
    keras.utils.set_random_seed(seed)
    if not xla and not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def fit(
    model: keras.Model,
    training: Callable[[int], tf.data.Dataset],
    validation: tf.data.Dataset,
    plan: Plan,
    journal: Journal,
    *,
    tensorboard: Path | None,
    progress: Progress = silent,
) -> None:
    """Fits a compiled model and leaves it at its best epoch, also when it is interrupted.

    `training(step)` is the endless stream of batches from a step on. What `journal` has of this phase is not done
    again. `tensorboard` is a folder for logs.
    """
    initial_weights = model.get_weights()
    best = journal.best_weights(plan.phase)
    done = journal.epochs_of(plan.phase)
    try:
        if done and not journal.has_ended(plan.phase):
            journal.restore(model)
        if not journal.has_ended(plan.phase):
            with _disk_errors_of(tensorboard):
                model.fit(
                    training(done * plan.steps_per_epoch),
                    validation_data=validation,
                    initial_epoch=done,
                    epochs=plan.epochs,
                    steps_per_epoch=plan.steps_per_epoch,
                    callbacks=_callbacks(plan, journal, best, tensorboard, progress),
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
    """`[n, classes]` probabilities that a Keras model gives to prepared pixels `[n, height, width, channels]`."""
    signature = tf.TensorSpec([None, *pixels.shape[1:]], tf.float32)
    network = tf.function(lambda batch: model(batch, training=False), input_signature=[signature])
    probabilities = np.empty((len(pixels), model.output_shape[-1]), np.float32)
    for start in range(0, len(pixels), _PREDICT_BATCH):
        rows = slice(start, start + _PREDICT_BATCH)
        probabilities[rows] = network(normalize(pixels[rows], spec))
        progress(f"measuring on {split}", min(start + _PREDICT_BATCH, len(pixels)), len(pixels))
    return probabilities


def _callbacks(
    plan: Plan, journal: Journal, best: Path, tensorboard: Path | None, progress: Progress
) -> list[keras.callbacks.Callback]:
    watched: dict[str, Any] = {"monitor": plan.monitor.name, "mode": plan.monitor.mode}
    counting = {
        "best": BestWeights(best, plan.monitor, plan.baseline_to_beat),
        # The best weights come from the file that the callback before this one writes.
        "stopping": keras.callbacks.EarlyStopping(patience=plan.patience, **watched),
    }
    if plan.plateau:
        counting["plateau"] = keras.callbacks.ReduceLROnPlateau(
            factor=_PLATEAU_FACTOR, patience=_PLATEAU_EPOCHS, min_lr=_LOWEST_RATE, **watched
        )
    callbacks = [EpochLog(plan.phase, plan.epochs, plan.monitor.name, journal, progress), *counting.values()]
    if plan.warmup_steps:
        callbacks.append(WarmUp(plan.warmup_steps))
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(tensorboard / plan.phase, write_graph=False, profile_batch=0))
    # Last, since it keeps what the others have counted.
    return [*callbacks, JournalKeeper(journal, counting, plan.epochs)]


@contextmanager
def _disk_errors_of(folder: Path | None) -> Iterator[None]:
    """TensorFlow has errors of its own for a log that cannot be written."""
    try:
        yield
    except tf.errors.OpError as error:
        if folder is None or str(folder) not in str(error):
            raise
        reason = str(error).partition(str(folder))[2].partition("; ")[2].partition("\n")[0]
        raise WriteError(
            f"could not write to {folder}: {reason}; free some space, then the same command with --resume"
        ) from error
