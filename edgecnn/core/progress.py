"""How long work tells how far it is; the command line turns it into bars, the library stays silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work goes on, often; `task` names what is being done, `detail` is a short figure to show beside it."""

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None: ...


def silent(task: str, done: int, total: int, detail: str = "") -> None:
    """A `Progress` that shows nothing."""
