"""Reports of progress and of log lines; the command line shows them, the library itself prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


Log = Callable[[str], None]
"""Takes one line that is worth showing to the user, for example before a step that takes long."""


class Progress(Protocol):
    """Callback that is called often while work proceeds."""

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        """Report progress.

        Args:
            task: Name of the work.
            done: Number of finished items.
            total: Number of all items.
            detail: Short figure to show beside the progress, such as the current loss.
        """


def silent(task: str, done: int, total: int, detail: str = "") -> None:
    """Show nothing: a `Progress` for callers that need no reports.

    Args:
        task: Ignored.
        done: Ignored.
        total: Ignored.
        detail: Ignored.
    """


def track(items: Iterable[T], progress: Progress, task: str, total: int, detail: str = "") -> Iterator[T]:
    """Yield items unchanged and report each one as it passes.

    Args:
        items: Items to pass on.
        progress: Callback for the reports.
        task: Name of the work.
        total: Number of items.
        detail: Short figure to show beside the progress.

    Yields:
        The items.
    """
    for done, item in enumerate(items, start=1):
        progress(task, done, total, detail)
        yield item
