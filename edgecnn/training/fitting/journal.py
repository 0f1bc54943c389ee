"""What of a training is finished, on disk, so that it can be taken up again where it stopped.

After every epoch the network, the optimizer and the random generators are written as a TensorFlow checkpoint, and then
a small JSON file that makes it count. A process that is killed between the two has lost that one epoch.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
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
"""Of several workers one may be an epoch behind when all of them stop; they go on from the one that all have."""

Counters = dict[str, dict[str, float]]
"""By callback, what it has counted: epochs without progress, the best value."""


class _Entry(BaseModel):
    """The state after the epochs in `history`; `ended` are the phases that want no more of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    format_version: Literal[1] = _VERSION
    task: dict[str, str]
    history: tuple[EpochRecord, ...]
    ended: tuple[Phase, ...]
    counters: Counters


class Journal:
    """Owns a folder with the states of the last epochs, and the best weights of each phase."""

    def __init__(self, folder: Path, task: Mapping[str, str]) -> None:
        """`task` is what is trained, by name: settings and data. A state of another task is not gone on from."""
        self._folder = folder
        self._task = dict(task)
        self.history: list[EpochRecord] = []
        self.counters: Counters = {}
        self._ended: tuple[Phase, ...] = ()

    @property
    def epochs(self) -> int:
        """How many epochs are finished, of all phases together."""
        return len(self.history)

    def begin(self) -> None:
        """Starts anew: removes what an earlier training left."""
        self.remove()
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            raise WriteError(f"could not write {self._folder}: {error.strerror}; choose another place") from error

    def take_up(self, epochs: int | None = None) -> None:
        """Goes on from the last state, or from the one after `epochs`. Raises `InputError` if there is none to use."""
        numbers = _numbers(self._folder)
        wanted = max(numbers, default=0) if epochs is None else epochs
        if wanted not in numbers:
            raise InputError(f"{self._folder} has no state after {wanted} epochs; train anew with --force")
        entry = _read(self._state(wanted))
        _check_same(entry.task, self._task, self._folder.parent)
        self.history, self.counters, self._ended = list(entry.history), entry.counters, entry.ended

    def epochs_of(self, phase: Phase) -> int:
        """How many epochs of a phase are finished."""
        return sum(epoch.phase == phase for epoch in self.history)

    def has_ended(self, phase: Phase) -> bool:
        return phase in self._ended

    def best_weights(self, phase: Phase) -> Path:
        """Where the weights of the best epoch of a phase are, if one has been good enough."""
        return self._folder / f"{phase}.h5"

    def restore(self, model: keras.Model) -> None:
        """Puts a compiled model, its optimizer and its random generators back to the state of `take_up`."""
        model.optimizer.build(model.trainable_variables)
        _checkpoint(model).read(str(self._checkpoint())).assert_existing_objects_matched()

    def keep(self, model: keras.Model, *, counters: Counters, ended: bool) -> None:
        """Writes the state after the last epoch of `history`. Raises `WriteError`; the states before are untouched."""
        phase = self.history[-1].phase
        self.counters = counters
        self._ended = (*self._ended, phase) if ended else self._ended
        try:
            _checkpoint(model).write(str(self._checkpoint()))
        except tf.errors.OpError as error:
            self._remove_states(lambda number: number == self.epochs)
            reason = str(error).partition("; ")[2].partition("\n")[0] or str(error).partition("\n")[0]
            raise WriteError(
                f"could not write {self._folder}: {reason}; free some space, then the same command with --resume"
            ) from error
        entry = _Entry(task=self._task, history=tuple(self.history), ended=self._ended, counters=counters)
        write_text(self._state(self.epochs), entry.model_dump_json() + "\n")
        self._remove_states(lambda number: number <= self.epochs - _KEPT)

    def remove(self) -> None:
        """Removes the folder: the training is complete, or starts anew."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _state(self, epochs: int) -> Path:
        return self._folder / f"{epochs}.json"

    def _checkpoint(self) -> Path:
        return self._folder / str(self.epochs)

    def _remove_states(self, outdated: Any) -> None:
        # The JSON files go first: what they name must be there as long as they are.
        for path in sorted(self._folder.iterdir(), key=lambda path: path.suffix != ".json"):
            number = path.name.partition(".")[0]
            if number.isdigit() and outdated(int(number)):
                path.unlink()


def task_of(settings: Settings, **others: str) -> dict[str, str]:
    """What is trained, for a `Journal`: the settings by the names of their options, and what else must be the same."""
    return {name.replace("_", "-"): str(value) for name, value in settings.model_dump(mode="json").items()} | others


def is_unfinished(folder: Path) -> bool:
    """Whether a folder has a state that a training can be taken up from."""
    return bool(_numbers(folder))


def _numbers(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.json") if re.fullmatch(r"\d+", path.stem)]


def _read(path: Path) -> _Entry:
    try:
        return _Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        raise InputError(f"{path} is not a state of this version of edgecnn; train anew with --force") from None


def _check_same(before: Mapping[str, str], now: Mapping[str, str], run: Path) -> None:
    for name in before.keys() | now.keys():
        if before.get(name) != now.get(name):
            raise InputError(
                f"{run} was begun with {name} {before.get(name)}, got {now.get(name)}; "
                "give what it was begun with, or train anew with --force"
            )


def _checkpoint(model: keras.Model) -> tf.train.Checkpoint:
    # Dropout's generators are no weights, so neither the model nor Keras's own backup would bring them.
    generators = [layer._random_generator._generator for layer in model._flatten_layers() if _draws(layer)]
    return tf.train.Checkpoint(model=model, optimizer=model.optimizer, generators=generators)


def _draws(layer: Any) -> bool:
    generator = getattr(layer, "_random_generator", None)
    return generator is not None and getattr(generator, "_generator", None) is not None
