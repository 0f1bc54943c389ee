"""Output of the commands: data on stdout, messages on stderr."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

_FILE_COLUMNS = 160
"""Width of a table that is not printed to a terminal."""
_NAME_COLUMNS = 30
"""Maximum width up to which the first column of a table is not wrapped, so that names stay in one piece."""

# No markup and no emoji codes, because a class may be called "[red]" or ":cat:".
stdout = Console(highlight=False, markup=False, emoji=False)
if not stdout.is_terminal:
    stdout.width = _FILE_COLUMNS
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a message, one line on stderr."""
    stderr.print(text)


def report_unreadable(paths: Sequence[object], *, limit: int | None = None) -> None:
    """Report the photos that were skipped because they cannot be decoded, and name up to `limit` of them."""
    for path in paths[:limit]:
        say(f"skipped, cannot be decoded: {path}")
    if paths:
        say(f"{len(paths)} unreadable photos were skipped; --strict refuses them")


def print_json(record: Any) -> None:
    """Print one JSON object on stdout, indented for human readers."""
    print(json.dumps(record, indent=1))


def print_json_lines(records: Iterable[Any]) -> None:
    """Print one JSON object per line on stdout and flush after each."""
    for record in records:
        print(json.dumps(record), flush=True)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Container[str] = ()
) -> None:
    """Print a table on stdout.

    Args:
        title: Title above the table.
        columns: Column titles.
        rows: Cells, as many per row as there are columns.
        texts: Titles of the columns that contain text and are aligned to the left, like the first column. The other
            columns contain numbers.
    """
    table = Table(title=title, title_justify="left")
    longest = max((len(row[0]) for row in rows), default=0)
    table.add_column(columns[0], overflow="fold", no_wrap=longest <= _NAME_COLUMNS)
    for column in columns[1:]:
        table.add_column(column, justify="left" if column in texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    stdout.print(table)


def print_fields(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values on stdout, one pair per line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    stdout.print(table)


class ProgressBars:
    """A `Progress` for the library: bars on a terminal, otherwise one line per finished task."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=stderr,
            disable=not stderr.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._finished: set[str] = set()

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        """Show that `done` of `total` steps of a task are complete."""
        if not stderr.is_terminal:
            self._report_when_finished(task, done, total, detail)
            return
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, detail=detail)
        self._bars.update(self._tasks[task], completed=done, total=total)
        if detail:
            self._bars.update(self._tasks[task], detail=detail)

    def _report_when_finished(self, task: str, done: int, total: int, detail: str) -> None:
        if done < total:
            self._finished.discard(task)
        elif task not in self._finished:
            self._finished.add(task)
            say(f"{task}: {total} done{f', {detail}' if detail else ''}")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
