"""One phase of training: Keras's loop under the callbacks that are always on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import WriteError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run_folder import EpochRecord, Phase, RunFolder
from edgecnn.train.convert import normalize
from edgecnn.train.keras import keras, tf
from edgecnn.train.photos import Labelled
from edgecnn.train.weights import save_weights

PHASE_TITLES: dict[Phase, str] = {
    "head": "training the head",
    "fine_tune": "fine-tuning",
    "qat": "quantisation-aware training",
}
_PREDICT_BATCH = 32
_TELL_EVERY_S = 0.2


def make_repeatable(seed: int) -> None:
    """Seeds Python, numpy and TensorFlow; on a CPU, the same seed then gives the same weights."""
    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def compile_classifier(model: keras.Model, learning_rate: float) -> None:
    """Cross-entropy over class indices, Adam, accuracy."""
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])


def fit(
    model: keras.Model,
    training: tuple[Any, ...],
    validation: Any,
    *,
    phase: Phase,
    epochs: int,
    checkpoint: Path,
    tensorboard: Path,
    history: list[EpochRecord],
    progress: Progress,
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss",
    beat: float | None = None,
    **fit_arguments: Any,
) -> None:
    """Fits a compiled model and leaves it at its best epoch by `monitor`, also when it is interrupted.

    `training` holds `model.fit`'s first arguments. `beat` is a value that an epoch must be better than to count:
    without such an epoch the model stays as it came. Every epoch is added to `history` as it ends.
    """
    came_with = model.get_weights()
    checkpoint.unlink(missing_ok=True)
    callbacks = [
        _EpochLog(phase, epochs, history, progress),
        _Checkpoint(
            checkpoint, monitor=monitor, save_best_only=True, save_weights_only=True, initial_value_threshold=beat
        ),
        keras.callbacks.EarlyStopping(monitor=monitor, patience=5, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor=monitor, factor=0.5, patience=3, min_lr=1e-6),
        keras.callbacks.TensorBoard(tensorboard / phase, write_graph=False, profile_batch=0),
    ]
    arguments = {"validation_data": validation, "epochs": epochs, "verbose": 0, "callbacks": callbacks} | fit_arguments
    try:
        with _disk_errors_of_tensorboard(tensorboard):
            model.fit(*training, **arguments)
    finally:
        if checkpoint.exists():
            model.load_weights(checkpoint)
        else:
            model.set_weights(came_with)


def predict(
    model: keras.Model, photos: Labelled, spec: PreprocessSpec, split: str, progress: Progress = silent
) -> NDArray[np.int64]:
    """`[n]` decisions of a Keras model."""
    decisions = np.empty(len(photos.classes), np.int64)
    for start in range(0, len(decisions), _PREDICT_BATCH):
        rows = slice(start, start + _PREDICT_BATCH)
        decisions[rows] = model.predict_on_batch(normalize(photos.pixels[rows], spec)).argmax(axis=1)
        progress(f"measuring on {split}", min(start + _PREDICT_BATCH, len(decisions)), len(decisions))
    return decisions


@contextmanager
def _disk_errors_of_tensorboard(folder: Path) -> Iterator[None]:
    """TensorFlow has errors of its own for a file that cannot be written."""
    try:
        yield
    except tf.errors.OpError as error:
        if str(folder) not in str(error):
            raise
        reason = str(error).partition(str(folder))[2].partition("; ")[2].partition("\n")[0]
        raise WriteError(f"could not write to {folder}: {reason}; free some space or choose another place") from error


@contextmanager
def temporary_checkpoint(folder: RunFolder, phase: Phase) -> Iterator[Path]:
    """A file in the run folder for a phase's best weights, which is gone when the phase is over."""
    folder.path.mkdir(parents=True, exist_ok=True)
    path = folder.path / f".{phase}.h5"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


class _Checkpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """Writes weights that are whole, or raises `WriteError`."""

    def set_model(self, model: keras.Model) -> None:
        super().set_model(_SavedWhole(model))


class _SavedWhole:
    """A model whose `save_weights` is ours."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def save_weights(self, path: str, overwrite: bool = True, options: object = None) -> None:
        save_weights(self._model, Path(path))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what every epoch came to, as it comes, and reports progress."""

    def __init__(self, phase: Phase, epochs: int, history: list[EpochRecord], progress: Progress) -> None:
        super().__init__()
        self._phase = phase
        self._epochs = epochs
        self._history = history
        self._progress = progress
        self._epoch = 0
        self._told_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch
        self._tell(0, "")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # A batch of a head takes two milliseconds; telling of each would take as long.
        if time.monotonic() - self._told_s >= _TELL_EVERY_S:
            self._tell(batch + 1, "")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._history.append(
            EpochRecord(
                phase=self._phase,
                epoch=epoch + 1,
                loss=values["loss"],
                accuracy=values["accuracy"],
                val_loss=values["val_loss"],
                val_accuracy=values["val_accuracy"],
                learning_rate=float(self.model.optimizer.learning_rate.numpy()),
            )
        )
        self._tell(0, f"validation {values['val_accuracy']:.3f}", done_epochs=epoch + 1)

    def _tell(self, batch: int, detail: str, done_epochs: int | None = None) -> None:
        steps = int(self.params.get("steps") or 1)
        done = self._epoch * steps + batch if done_epochs is None else done_epochs * steps
        self._told_s = time.monotonic()
        self._progress(PHASE_TITLES[self._phase], done, self._epochs * steps, detail)
