"""How long work tells how far it is; the command line turns it into bars, the library stays silent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


Log = Callable[[str], None]
"""Takes a line that is worth saying before something takes long."""


class Progress(Protocol):
    """Called as work goes on, often; `task` names what is being done, `detail` is a short figure to show beside it."""

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None: ...


def silent(task: str, done: int, total: int, detail: str = "") -> None:
    """A `Progress` that shows nothing."""


def track(items: Iterable[T], progress: Progress, task: str, total: int, detail: str = "") -> Iterator[T]:
    """The items, each of which is told of as it passes."""
    for done, item in enumerate(items, start=1):
        progress(task, done, total, detail)
        yield item
