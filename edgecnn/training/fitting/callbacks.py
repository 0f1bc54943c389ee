"""Callbacks of every training phase: progress, best weights, early stopping, learning rate and the journal.

Keras has callbacks for some of these, but keeps their counters in undocumented attributes. The ones here make the same
decisions and expose their state. The journal stores it, so that a resumed run decides as an uninterrupted one would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from edgecnn.core.progress import Progress
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.training.fitting.journal import CallbackState, Journal
from edgecnn.training.fitting.monitor import Monitor
from edgecnn.training.keras import keras
from edgecnn.training.networks.weights import save_weights

PHASE_TITLES: dict[Phase, str] = {
    "head": "training the head",
    "fine_tune": "fine-tuning",
    "scratch": "training from scratch",
    "qat": "quantization-aware training",
}
_REPORT_EVERY_S = 0.2
_PLATEAU_EPOCHS, _PLATEAU_FACTOR, _LOWEST_RATE = 3, 0.5, 1e-6
_PLATEAU_MARGIN = 1e-4
"""An epoch must be better than the best one by more than this to interrupt a plateau."""


class Resumable(Protocol):
    """A callback whose decisions depend on earlier epochs."""

    @property
    def state(self) -> CallbackState:
        """The values that the next decision depends on."""

    def restore(self, state: CallbackState) -> None:
        """Continue from the `state` after an earlier epoch."""


class BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the weights of the best epoch so far to a file, atomically; raises `WriteError`.

    Keras's ModelCheckpoint keeps a file on the first worker only, and may crash on a full disk.
    """

    def __init__(self, path: Path, monitor: Monitor, baseline_to_beat: float | None) -> None:
        super().__init__()
        self._path = path
        self._monitor = monitor
        self._best = monitor.worst if baseline_to_beat is None else baseline_to_beat

    @property
    def state(self) -> CallbackState:
        """The best value so far."""
        return {"best": self._best}

    def restore(self, state: CallbackState) -> None:
        """Continue from the `state` after an earlier epoch."""
        self._best = state["best"]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the weights if the epoch is the best so far.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Metrics of the epoch, by name.

        Raises:
            WriteError: The disk is full or not writable.
        """
        value = float((logs or {})[self._monitor.name])
        if self._monitor.better(value, self._best):
            self._best = value
            save_weights(self.model, self._path)


class _ProgressCounter(keras.callbacks.Callback):  # type: ignore[misc]
    """Counts the epochs since the monitored value has last improved by more than a margin."""

    def __init__(self, monitor: Monitor, *, margin: float) -> None:
        super().__init__()
        self._monitor = monitor
        self._margin = margin
        self._best = monitor.worst
        self._epochs_without_progress = 0

    @property
    def state(self) -> CallbackState:
        """The best value so far, and the number of epochs without progress."""
        return {"best": self._best, "wait": self._epochs_without_progress}

    def restore(self, state: CallbackState) -> None:
        """Continue from the `state` after an earlier epoch."""
        self._best, self._epochs_without_progress = state["best"], int(state["wait"])

    def _count(self, logs: Mapping[str, float]) -> None:
        value = float(logs[self._monitor.name])
        if self._monitor.better(value, self._monitor.improved(self._best, self._margin)):
            self._best = value
            self._epochs_without_progress = 0
        else:
            self._epochs_without_progress += 1


class EarlyStopping(_ProgressCounter):
    """Ends the phase after `patience` epochs without progress, as Keras's callback of this name does.

    It restores no weights: the best ones are in the file of `BestWeights`.
    """

    def __init__(self, monitor: Monitor, patience: int) -> None:
        super().__init__(monitor, margin=0.0)
        self._patience = patience

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch, and stop the training when the patience is exhausted.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Metrics of the epoch, by name.
        """
        self._count(logs or {})
        # The first epoch never ends a phase, even if its value is NaN and the patience is 1.
        if self._epochs_without_progress >= self._patience and epoch > 0:
            self.model.stop_training = True


class HalveOnPlateau(_ProgressCounter):
    """Halves the learning rate after three epochs without progress, as Keras's ReduceLROnPlateau does."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__(monitor, margin=_PLATEAU_MARGIN)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count the epoch, and halve the learning rate on a plateau.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Metrics of the epoch, by name.
        """
        logs = {} if logs is None else logs
        learning_rate = self.model.optimizer.learning_rate
        rate = float(learning_rate.numpy())
        # All callbacks share this dictionary: TensorBoard, which is called later, plots the epoch's rate from it.
        logs["lr"] = rate
        self._count(logs)
        # The rate is a float32, so it reaches the lowest one as rounded to float32.
        if self._epochs_without_progress >= _PLATEAU_EPOCHS and rate > float(np.float32(_LOWEST_RATE)):
            learning_rate.assign(max(rate * _PLATEAU_FACTOR, _LOWEST_RATE))
            self._epochs_without_progress = 0


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises the learning rate linearly to `peak` over the first `steps` (Goyal et al. 2017).

    It has no state: each rate depends only on the number of the step, which the optimizer counts. `peak` cannot be
    derived from the rate of a restored optimizer, since that was rounded on the way up.
    """

    def __init__(self, steps: int, peak: float) -> None:
        super().__init__()
        self._steps = steps
        self._peak = peak

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set the learning rate of the step.

        Args:
            batch: Index of the step in its epoch, from 0.
            logs: Unused.
        """
        step = int(self.model.optimizer.iterations.numpy()) + 1
        if step <= self._steps:
            self.model.optimizer.learning_rate.assign(self._peak * step / self._steps)


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the metrics of every epoch to the journal's history, and reports progress."""

    def __init__(self, journal: Journal, progress: Progress, *, phase: Phase, epochs: int, monitor: str) -> None:
        super().__init__()
        self._journal = journal
        self._progress = progress
        self._phase = phase
        self._epochs = epochs
        self._monitor = monitor
        self._epoch = 0
        self._reported_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Report the start of an epoch.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Unused.
        """
        self._epoch = epoch
        self._report(0, "")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Report a step, unless one was reported a moment ago.

        Args:
            batch: Index of the step in its epoch, from 0.
            logs: Unused.
        """
        # A step of a head takes two milliseconds; reporting each one would take as long.
        if time.monotonic() - self._reported_s >= _REPORT_EVERY_S:
            self._report(batch + 1, "")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch, and report its validation metrics.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Metrics of the epoch, by name.
        """
        values = {name: float(value) for name, value in (logs or {}).items()}
        self._journal.history.append(
            EpochRecord(
                phase=self._phase,
                epoch=epoch + 1,
                loss=values["loss"],
                accuracy=values["accuracy"],
                val_loss=values["val_loss"],
                val_accuracy=values["val_accuracy"],
                monitored=values[self._monitor],
                learning_rate=float(keras.backend.get_value(self.model.optimizer.learning_rate)),
            )
        )
        shown = {"val_accuracy": values["val_accuracy"], self._monitor: values[self._monitor]}
        shown_values = ", ".join(f"{name.removeprefix('val_')} {value:.3f}" for name, value in shown.items())
        self._report(0, f"validation {shown_values.removeprefix('accuracy ')}", done_epochs=epoch + 1)

    def _report(self, batch: int, detail: str, done_epochs: int | None = None) -> None:
        steps = int(self.params.get("steps") or 1)
        done = self._epoch * steps + batch if done_epochs is None else done_epochs * steps
        self._reported_s = time.monotonic()
        self._progress(PHASE_TITLES[self._phase], done, self._epochs * steps, detail)


class JournalWriter(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the network and the states of the `resumable` callbacks after every epoch."""

    def __init__(self, journal: Journal, resumable: Mapping[str, Resumable], *, epochs: int) -> None:
        super().__init__()
        self._journal = journal
        self._resumable = resumable
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the state after the epoch.

        Args:
            epoch: Index of the epoch, from 0.
            logs: Metrics of the epoch, by name.

        Raises:
            WriteError: The disk is full or not writable.
        """
        ended = self.model.stop_training or epoch + 1 >= self._epochs
        counters = {} if ended else {name: callback.state for name, callback in self._resumable.items()}
        self._journal.save(self.model, counters=counters, ended=ended)
