"""The confusion matrix as a drawing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from edgecnn.report.drawing import Drawing, text_width
from edgecnn.report.markup import Markup, element, join, shortened

_CELL = 34.0
_MATRIX = 1000.0
"""Maximum width of the cells together; many classes have smaller cells."""
_SMALLEST_CELL = 3.0
_CELL_WITH_NAME, _CELL_WITH_COUNT, _CELL_WITH_LEVEL_RATE = 8.0, 20.0, 32.0
"""Smaller cells have no names and rates, no counts, or rates that are rotated."""
_NAME_CHARACTERS = 32
_AXIS, _RATE = 22, 44
"""Width of an axis title and of a percentage."""

Counts = Sequence[Sequence[int]]


class _Grid(NamedTuple):
    """Position and size of the cells."""

    left: float
    top: float
    cell: float
    classes: int

    @property
    def size(self) -> float:
        return self.cell * self.classes

    @property
    def right(self) -> float:
        return self.left + self.size

    @property
    def bottom(self) -> float:
        return self.top + self.size

    def middle(self, index: int) -> float:
        """Return the distance of the middle of a row or column from the edge of the matrix."""
        return (index + 0.5) * self.cell


def confusion_chart(labels: Sequence[str], counts: Counts) -> Drawing:
    """Draw a confusion matrix: rows are the truth, columns the decision.

    A number counts photos, and its shade shows their share of the row. Errors are shaded by the square root of their
    share: they matter most and are usually few. The recall is to the right of a row, the precision below a column.

    Args:
        labels: Class names.
        counts: Photo counts by truth and decision, in the order of `labels`.

    Returns:
        The chart.
    """
    cell = max(_SMALLEST_CELL, min(_CELL, _MATRIX / len(labels)))
    size = min(11.0, cell * 0.75)
    names = [shortened(label, _NAME_CHARACTERS) for label in labels]
    named = cell >= _CELL_WITH_NAME
    extent = max(text_width(name, size) for name in names) + 8 if named else 0.0
    grid = _Grid(_AXIS + max(extent, 60.0 if named else 0.0), _AXIS + extent, cell, len(labels))
    parts = [_frame(grid), *_cells(grid, labels, counts), *_axis_titles(grid)]
    if named:
        parts += [*_names(grid, names, size), *_rates(grid, counts, size)]
    margin = _RATE if named else 0
    return Drawing("Confusion matrix", grid.right + margin, grid.bottom + margin, join(*parts))


def _frame(grid: _Grid) -> Markup:
    return element("rect", x=grid.left, y=grid.top, width=grid.size, height=grid.size, class_="frame")


def _cells(grid: _Grid, labels: Sequence[str], counts: Counts) -> Iterator[Markup]:
    for truth, row in enumerate(counts):
        for decision, count in enumerate(row):
            if count:
                title = f"{count} of {sum(row)} {labels[truth]} decided as {labels[decision]}"
                yield _cell(grid, truth, decision, count=count, share=count / sum(row), title=title)


def _cell(grid: _Grid, truth: int, decision: int, *, count: int, share: float, title: str) -> Markup:
    kind, shade = ("right", share) if truth == decision else ("wrong", math.sqrt(share))
    # The gap between two cells.
    side = grid.cell - (1 if grid.cell >= _CELL_WITH_NAME else 0)
    rect = element(
        "rect",
        x=grid.left + decision * grid.cell,
        y=grid.top + truth * grid.cell,
        width=side,
        height=side,
        class_=kind,
        fill_opacity=f"{shade:.3f}",
    )
    parts = [element("title", title), rect]
    if grid.cell >= _CELL_WITH_COUNT:
        size = min(12.0, grid.cell * 0.36)
        x, y = grid.left + grid.middle(decision), grid.top + grid.middle(truth) + 0.35 * size
        style = "count deep" if shade > 0.5 else "count"
        parts.append(_text(str(count), x, y, size=size, anchor="middle", class_=style))
    return element("g", *parts)


def _axis_titles(grid: _Grid) -> Iterator[Markup]:
    middle = grid.top + grid.size / 2
    yield element("text", "decision", x=grid.left + grid.size / 2, y=12, text_anchor="middle", class_="axis")
    yield element(
        "text", "truth", x=12, y=middle, text_anchor="middle", transform=f"rotate(-90 12 {middle:g})", class_="axis"
    )


def _names(grid: _Grid, names: Sequence[str], size: float) -> Iterator[Markup]:
    for index, name in enumerate(names):
        across, down = grid.left + grid.middle(index), grid.top + grid.middle(index)
        yield _text(name, grid.left - 5, down + 0.35 * size, size=size, anchor="end", class_="name")
        x, y = across + 0.35 * size, grid.top - 5
        yield _text(name, x, y, size=size, anchor="start", class_="name", transform=f"rotate(-90 {x:.1f} {y:.1f})")


def _rates(grid: _Grid, counts: Counts, size: float) -> Iterator[Markup]:
    yield _text("recall", grid.right + 4, grid.top - 5, size=11, anchor="start")
    yield _text("precision", grid.left - 5, grid.bottom + 15, size=11, anchor="end")
    for index, row in enumerate(counts):
        hits = row[index]
        down, across = grid.top + grid.middle(index), grid.left + grid.middle(index)
        recall, precision = _percentage(hits, sum(row)), _percentage(hits, sum(each[index] for each in counts))
        yield _text(recall, grid.right + 4, down + 0.35 * size, size=size, anchor="start")
        if grid.cell >= _CELL_WITH_LEVEL_RATE:
            yield _text(precision, across, grid.bottom + 15, size=size, anchor="middle")
        else:
            x, y = across + 0.35 * size, grid.bottom + 5
            yield _text(precision, x, y, size=size, anchor="end", transform=f"rotate(-90 {x:.1f} {y:.1f})")


def _text(
    text: str,
    x: float,
    y: float,
    *,
    size: float,
    anchor: str,
    class_: str | None = None,
    transform: str | None = None,
) -> Markup:
    # A style, since a rule of the style sheet would override an attribute.
    style = f"font-size:{size:.1f}px"
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_, style=style, transform=transform)


def _percentage(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
