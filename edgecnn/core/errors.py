"""The exceptions that edgecnn raises deliberately.

    EdgecnnError                exit status 1
      InputError                a path, file, option or name from the user is unusable
        UnknownName             a name is not one of the known ones; the error suggests the nearest
        DataError               a folder of photos is unusable for training or measuring
        ModelFileError          a .tflite file is truncated, not a TFLite model, or contradicts its card
        SourceError             a camera, video or folder cannot be opened
      MissingDependency         an optional part is not installed
      SourceLost                a live source stopped delivering frames
      WriteError                a result could not be written; no incomplete file remains
      ExportError               a converted model failed its check, so the file did not get its final name
      VerifyFailed              this machine computes other results than the machine that exported the model
      DeviceError               a device is unreachable, or a step on it failed; whatever ran there keeps running
      WorkerLost                another machine of a distributed training is gone
      Interrupted               exit status 130: Ctrl-C; the message says what was saved
      GateFailed                exit status 3: a gate on accuracy, speed or data failed
      GateUndecided             exit status 4: there is too little data for the gate to decide

A message is one line: what was expected, what was found, what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError


class EdgecnnError(Exception):
    """Base class of all errors; `exit_status` is the exit status of the command line."""

    exit_status: ClassVar[int] = 1


class InputError(EdgecnnError):
    """Input from the user that is unusable as it is."""


class UnknownName(InputError):
    """A name that is not in a closed set of names."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(known)
        nearest = _nearest(name.lower(), self.known)
        hint = f"did you mean {nearest!r}?" if nearest else f"known: {', '.join(self.known)}"
        super().__init__(f"unknown {kind} {name!r}: {hint}")
        self.nearest = nearest


class DataError(InputError):
    """A folder of photos that is unusable."""


class ModelFileError(InputError):
    """A model file that is unusable."""


class SourceError(InputError):
    """A frame source that cannot be opened."""


class MissingDependency(EdgecnnError):
    """An optional part of edgecnn that is not installed."""


class SourceLost(EdgecnnError):
    """A live source that was open and stopped delivering frames."""


class WriteError(EdgecnnError):
    """A file that could not be written; its previous content, if any, is unchanged."""


class ExportError(EdgecnnError):
    """A converted model that did not pass its own check."""


class VerifyFailed(EdgecnnError):
    """Golden vectors that this machine computes differently from the machine that exported the model."""


class DeviceError(EdgecnnError):
    """A device that is unreachable or unusable, or on which a step failed."""


class WorkerLost(EdgecnnError):
    """A worker of a distributed training that stopped or is unreachable."""


class Interrupted(EdgecnnError):
    """An interruption by Ctrl-C; the message says what was saved and is usable."""

    exit_status = 130


class GateFailed(EdgecnnError):
    """A model or a folder of photos that is worse than the gate allows."""

    exit_status = 3


class GateUndecided(EdgecnnError):
    """A gate that cannot decide because there are too few images."""

    exit_status = 4


def first_problem(error: ValidationError) -> str:
    """Describe the first problem of a pydantic error.

    Args:
        error: Error with one or more problems.

    Returns:
        One line: the location, the problem, the value found, and the number of further problems.
    """
    first = error.errors()[0]
    location = ".".join(str(part) for part in first["loc"]) or "the document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{location}: {first['msg']}, got {first['input']!r:.80}{more}"


def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    """Return the known name that begins with `name`, otherwise the most similar one, or None if there is neither."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    completions = [lower for lower in by_lower if name and lower.startswith(name)]
    nearest = completions or difflib.get_close_matches(name, by_lower, n=1, cutoff=0.5)
    return by_lower[nearest[0]] if nearest else None
