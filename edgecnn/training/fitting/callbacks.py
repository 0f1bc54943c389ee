"""What is done after every step and epoch, besides what Keras's own callbacks do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecnn.core.progress import Progress
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.training.fitting.journal import Counters, Journal
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
_COUNTED = ("best", "wait", "cooldown_counter")
"""What Keras's callbacks remember from epoch to epoch."""


class BestWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the weights of the best epoch so far, whole, or raises `WriteError`.

    Keras's ModelCheckpoint keeps no file on any worker but the first, and may crash on a full disk.
    """

    def __init__(self, path: Path, monitor: Monitor, baseline_to_beat: float | None) -> None:
        super().__init__()
        self._path = path
        self._monitor = monitor
        self.best = monitor.worst if baseline_to_beat is None else baseline_to_beat

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        value = float((logs or {})[self._monitor.name])
        if self._monitor.better(value, self.best):
            self.best = value
            save_weights(self.model, self._path)


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises the learning rate in equal parts to its height, over the first `steps` (Goyal et al. 2017)."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self._height = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._height = float(self.model.optimizer.learning_rate.numpy())
        done = int(self.model.optimizer.iterations.numpy())
        if 0 < done < self._steps:
            # Taken up again in the middle of the way up.
            self._height *= self._steps / done

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = int(self.model.optimizer.iterations.numpy()) + 1
        if step <= self._steps:
            self.model.optimizer.learning_rate.assign(self._height * step / self._steps)


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds what every epoch came to to the journal's history, and reports progress."""

    def __init__(self, phase: Phase, epochs: int, monitor: str, journal: Journal, progress: Progress) -> None:
        super().__init__()
        self._phase = phase
        self._epochs = epochs
        self._monitor = monitor
        self._journal = journal
        self._progress = progress
        self._epoch = 0
        self._reported_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch
        self._report(0, "")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # A batch of a head takes two milliseconds; telling of each would take as long.
        if time.monotonic() - self._reported_s >= _REPORT_EVERY_S:
            self._report(batch + 1, "")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
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


class JournalKeeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the state after every epoch, with what the `counting` callbacks have counted, and gives it back to them."""

    def __init__(self, journal: Journal, counting: Mapping[str, Any], epochs: int) -> None:
        super().__init__()
        self._journal = journal
        self._counting = counting
        self._epochs = epochs
        self._taken_up = journal.counters

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        # Each of them starts at nothing when training begins.
        for name, counted in self._taken_up.items():
            vars(self._counting[name]).update(counted)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        counters: Counters = {
            name: {key: float(vars(callback)[key]) for key in _COUNTED if key in vars(callback)}
            for name, callback in self._counting.items()
        }
        ended = self.model.stop_training or epoch + 1 >= self._epochs
        self._journal.keep(self.model, counters={} if ended else counters, ended=ended)
