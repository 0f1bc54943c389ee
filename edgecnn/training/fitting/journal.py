"""The finished part of a training run on disk, from which an interrupted run resumes.

After every epoch the network, the optimizer and the random generators are written as a TensorFlow checkpoint. A small
JSON file, written afterwards, makes the checkpoint count. A process that is killed between the two loses that one
epoch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecnn.core.atomic import write_text
from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.core.settings.base import Settings
from edgecnn.training.keras import keras, tf

_VERSION: Final = 1
_KEPT = 2
"""Number of states on disk. When several workers stop, one may be an epoch behind the others; they all resume from the
latest state that every worker has."""

CallbackState = dict[str, float]
"""Values that a callback's next decision depends on, such as the best value so far."""


class _Entry(BaseModel):
    """The state after the epochs in `history`."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    format_version: Literal[1] = _VERSION
    task: dict[str, str]
    history: tuple[EpochRecord, ...]
    ended: tuple[Phase, ...]
    """Phases that have reached their last epoch or stopped early."""
    counters: dict[str, CallbackState]
    """States of the callbacks, by name; empty at the end of a phase."""


class Journal:
    """Owns a folder with the states after the last epochs, and the best weights of each phase."""

    def __init__(self, folder: Path, task: Mapping[str, str]) -> None:
        """Create a journal; nothing is read or written yet.

        Args:
            folder: Folder of the states.
            task: Settings and data of the run, by name. A state of another task is never resumed.
        """
        self._folder = folder
        self._task = dict(task)
        self.history: list[EpochRecord] = []
        """Metrics of every finished epoch, of all phases."""
        self.counters: dict[str, CallbackState] = {}
        """States of the callbacks after the last epoch in `history`, by name; empty at the end of a phase."""
        self._ended: tuple[Phase, ...] = ()

    @property
    def epochs(self) -> int:
        """Number of finished epochs, of all phases together."""
        return len(self.history)

    def begin(self) -> None:
        """Start from the beginning, without the states of an earlier run; raise `WriteError` if that fails."""
        self.remove()
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            raise WriteError(f"could not write {self._folder}: {error.strerror}; choose another folder") from error

    def resume(self, epochs: int | None = None) -> None:
        """Continue from a state on disk.

        Args:
            epochs: Number of finished epochs of the state; the last state by default.

        Raises:
            InputError: There is no such state, it cannot be read, or it belongs to another task.
        """
        numbers = _numbers(self._folder)
        number = max(numbers, default=0) if epochs is None else epochs
        if number not in numbers:
            raise InputError(f"{self._folder} has no state after {number} epochs; start over with --force")
        entry = _read(self._state(number))
        _check_same(entry.task, self._task, self._folder.parent)
        self.history, self.counters, self._ended = list(entry.history), entry.counters, entry.ended

    def epochs_of(self, phase: Phase) -> int:
        """Return the number of finished epochs of a phase."""
        return sum(epoch.phase == phase for epoch in self.history)

    def has_ended(self, phase: Phase) -> bool:
        """Return True if a phase has no more epochs to train."""
        return phase in self._ended

    def best_weights(self, phase: Phase) -> Path:
        """Return the path of the weights of a phase's best epoch; no file if no epoch has beaten the baseline."""
        return self._folder / f"{phase}.h5"

    def restore(self, model: keras.Model) -> None:
        """Restore a compiled model, its optimizer and its random generators to the state of `resume`."""
        model.optimizer.build(model.trainable_variables)
        _checkpoint(model).read(str(self._checkpoint())).assert_existing_objects_matched()

    def save(self, model: keras.Model, *, counters: Mapping[str, CallbackState], ended: bool) -> None:
        """Write the state after the last epoch of `history`.

        Args:
            model: The compiled model.
            counters: States of the callbacks, by name.
            ended: The phase has no more epochs to train.

        Raises:
            WriteError: The disk is full or not writable. Earlier states are untouched.
        """
        phase = self.history[-1].phase
        self.counters = dict(counters)
        self._ended = (*self._ended, phase) if ended else self._ended
        try:
            _checkpoint(model).write(str(self._checkpoint()))
        except tf.errors.OpError as error:
            self._remove_states(lambda number: number == self.epochs)
            reason = str(error).partition("; ")[2].partition("\n")[0] or str(error).partition("\n")[0]
            raise WriteError(
                f"could not write {self._folder}: {reason}; free some space, then repeat the command with --resume"
            ) from error
        entry = _Entry(task=self._task, history=tuple(self.history), ended=self._ended, counters=self.counters)
        write_text(self._state(self.epochs), entry.model_dump_json() + "\n")
        self._remove_states(lambda number: number <= self.epochs - _KEPT)

    def remove(self) -> None:
        """Remove the folder, because the run is complete or starts over."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _state(self, epochs: int) -> Path:
        return self._folder / f"{epochs}.json"

    def _checkpoint(self) -> Path:
        return self._folder / str(self.epochs)

    def _remove_states(self, outdated: Callable[[int], bool]) -> None:
        # The JSON files go first: the checkpoint that one names must exist as long as the file does.
        for path in sorted(self._folder.iterdir(), key=lambda path: path.suffix != ".json"):
            number = path.name.partition(".")[0]
            if number.isdigit() and outdated(int(number)):
                path.unlink()


def task_of(settings: Settings, **others: str) -> dict[str, str]:
    """Describe what is trained, for a `Journal`.

    Args:
        settings: Settings of the run.
        **others: Other values that must be equal when the run is resumed, such as a fingerprint of the photos.

    Returns:
        The settings by the names of their command-line options, and the other values.
    """
    return {name.replace("_", "-"): str(value) for name, value in settings.model_dump(mode="json").items()} | others


def is_unfinished(folder: Path) -> bool:
    """Find out if a run can be resumed.

    Args:
        folder: Folder of a journal; it need not exist.

    Returns:
        True if the folder contains a state.
    """
    return bool(_numbers(folder))


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.json") if re.fullmatch(r"\d+", path.stem)]


def _read(path: Path) -> _Entry:
    try:
        return _Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise InputError(f"{path} is corrupted, or from another version of edgecnn; start over with --force") from None


def _check_same(before: Mapping[str, str], now: Mapping[str, str], run: Path) -> None:
    for name in before.keys() | now.keys():
        if before.get(name) != now.get(name):
            raise InputError(
                f"{run} was started with {name} {before.get(name)}, got {now.get(name)}; "
                "use the original value, or start over with --force"
            )


def _checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    # Dropout's generators are not weights, so neither a checkpoint of the model nor Keras's BackupAndRestore includes
    # them, and Keras has no public accessor for them.
    generators = [layer._random_generator._generator for layer in model._flatten_layers() if _draws(layer)]
    return tf.train.Checkpoint(model=model, optimizer=model.optimizer, generators=generators)


def _draws(layer: Any) -> bool:
    """Return True if a layer draws from a generator that has a state."""
    generator = getattr(layer, "_random_generator", None)
    return generator is not None and getattr(generator, "_generator", None) is not None
