"""Everything edgecnn raises on purpose.

    EdgecnnError                exit status 1
      InputError                a path, file, option or name the user gave cannot be used
        UnknownName             ... and there is a nearest known one
        DataError               a folder of photos that cannot be trained on or measured with
        ModelFileError          a .tflite that is cut, foreign, or contradicts its card
        SourceError             a camera, video or folder that cannot be opened
      MissingDependency         an optional part is not installed
      SourceLost                a live source stopped giving frames
      WriteError                a result could not be written; nothing half-written is left
      ExportError               a converted model failed its check, so it did not get its name
      VerifyFailed              this machine computes something else than the one that exported the model
      DeviceError               a device could not be reached, or something failed on it; what ran there still runs
      WorkerLost                another of the machines that train together is gone
      Interrupted               exit status 130: Ctrl-C, with what is left said in the message
      GateFailed                exit status 3: a gate on accuracy, speed or data says no
      GateUndecided             exit status 4: too little data for the gate to say anything

A message is one line: what was expected, what came, what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pydantic import ValidationError


class EdgecnnError(Exception):
    """Root of the tree; `exit_status` is what the command line leaves with."""

    exit_status: ClassVar[int] = 1


class InputError(EdgecnnError):
    """Something the user gave cannot be used as it is."""


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
    """A folder of photos that cannot be used."""


class ModelFileError(InputError):
    """A model file that cannot be used."""


class SourceError(InputError):
    """A frame source that cannot be opened."""


class MissingDependency(EdgecnnError):
    """An optional part of edgecnn is not installed."""


class SourceLost(EdgecnnError):
    """A live source was open and stopped giving frames."""


class WriteError(EdgecnnError):
    """A file could not be written; its previous content, if any, is untouched."""


class ExportError(EdgecnnError):
    """A converted model did not pass its own check."""


class VerifyFailed(EdgecnnError):
    """This machine computes something else from a model's golden vectors than the one that exported it."""


class DeviceError(EdgecnnError):
    """A device cannot be reached or used, or a step on it failed."""


class WorkerLost(EdgecnnError):
    """Another worker of a distributed training stopped or cannot be reached."""


class Interrupted(EdgecnnError):
    """Ctrl-C came; the message says what was saved and can be used."""

    exit_status = 130


class GateFailed(EdgecnnError):
    """A model or a folder of photos is worse than the gate allows."""

    exit_status = 3


class GateUndecided(EdgecnnError):
    """The images are too few to tell whether the gate holds."""

    exit_status = 4


def first_problem(error: ValidationError) -> str:
    """The first finding of a pydantic error in one line: where, what, what came."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}, got {first['input']!r:.80}{more}"


def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    """The one that `name` is the beginning of, else the most similar; None if there is neither."""
    by_lower = {each.lower(): each for each in known}
    begun = [lower for lower in by_lower if name and lower.startswith(name)]
    nearest = begun or difflib.get_close_matches(name, by_lower, n=1, cutoff=0.5)
    return by_lower[nearest[0]] if nearest else None
