"""Pictures for the report: curves by epoch as inline SVG, the confusion matrix as a shaded table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from edgecnn.report.markup import Markup, element, join

_WIDTH, _HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 30
_POINTS_WITH_DOTS = 30
_DIVERGED = 1e30
"""A loss of this size tells nothing more, and its axis would overflow."""


class Curve(NamedTuple):
    """Values by epoch; None where an epoch has none."""

    name: str
    style: str
    """CSS class that gives the color: `training` or `validation`."""
    values: Sequence[float | None]


class _Axes(NamedTuple):
    """The ranges of data that fill the plot."""

    first: int
    last: int
    low: float
    high: float

    def x(self, epoch: float) -> float:
        span = max(1, self.last - self.first)
        return _LEFT + (epoch - self.first) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _TOP + (self.high - value) / (self.high - self.low) * (_HEIGHT - _TOP - _BOTTOM)


def line_chart(title: str, epochs: Sequence[int], curves: Sequence[Curve], marked: int | None = None) -> Markup:
    """A chart of `curves` over `epochs`, all of one length; values that are None, NaN or beyond drawing leave a gap.

    `marked` is an epoch that a line goes through.
    """
    drawable = [value for curve in curves for value in curve.values if _is_drawable(value)]
    if not drawable:
        return element("p", f"{title}: no values.", class_="empty")
    ticks = _ticks(min(drawable), max(drawable))
    axes = _Axes(min(epochs), max(epochs), ticks[0], ticks[-1])
    drawing = element(
        "svg",
        *(_grid_line(axes, tick) for tick in ticks),
        *(_epoch_label(axes, epoch) for epoch in _epoch_ticks(axes.first, axes.last)),
        *([_mark(axes, marked)] if marked is not None else []),
        *(_curve(axes, epochs, curve) for curve in curves),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{title} by epoch",
    )
    legend = [element("span", curve.name, class_=f"key {curve.style}") for curve in curves]
    return element("figure", element("figcaption", element("b", title), *legend), drawing)


def confusion_table(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Markup:
    """Rows are the truth, columns the decision; a number counts photos, and its shade shows their share of the row.

    Errors are shaded by the square root of their share: they are what one looks for, and mostly few.
    """
    heads = [element("th", element("span", label), scope="col", title=label) for label in labels]
    rows = [
        element(
            "tr",
            element("th", label, scope="row"),
            *(_cell(labels, truth, decision, count, sum(row)) for decision, count in enumerate(row)),
        )
        for truth, (label, row) in enumerate(zip(labels, counts, strict=True))
    ]
    corner = element("th", "truth ↓ decision →", class_="corner")
    table = element(
        "table",
        element("thead", element("tr", corner, *heads)),
        element("tbody", *rows),
        class_="confusion",
    )
    return element("div", table, class_="scroll")


def _cell(labels: Sequence[str], truth: int, decision: int, count: int, total: int) -> Markup:
    share = count / max(1, total)
    kind, shade = ("right", share) if truth == decision else ("wrong", math.sqrt(share))
    return element(
        "td",
        str(count) if count else "",
        class_=f"{kind} deep" if shade > 0.5 else kind,
        style=f"--shade:{shade:.3f}",
        title=f"{count} of {total} {labels[truth]} decided as {labels[decision]}",
    )


def _curve(axes: _Axes, epochs: Sequence[int], curve: Curve) -> Markup:
    commands: list[str] = []
    dots: list[Markup] = []
    pen = "M"
    for epoch, value in zip(epochs, curve.values, strict=True):
        if not _is_drawable(value):
            pen = "M"
            continue
        x, y = axes.x(epoch), axes.y(value)
        commands.append(f"{pen}{x:.1f} {y:.1f}")
        dots.append(element("circle", cx=x, cy=y, r=2.2))
        pen = "L"
    if len(dots) > _POINTS_WITH_DOTS:
        dots = []
    return element("g", element("path", d=" ".join(commands)), *dots, class_=curve.style)


def _grid_line(axes: _Axes, tick: float) -> Markup:
    y = axes.y(tick)
    line = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
    return join(line, element("text", f"{tick:.4g}", x=_LEFT - 6, y=y + 4, text_anchor="end"))


def _epoch_label(axes: _Axes, epoch: int) -> Markup:
    return element("text", str(epoch), x=axes.x(epoch), y=_HEIGHT - _BOTTOM + 18, text_anchor="middle")


def _mark(axes: _Axes, epoch: int) -> Markup:
    x = axes.x(epoch)
    return element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark")


def _ticks(low: float, high: float) -> list[float]:
    """Round values, about four apart, the first at or below `low` and the last at or above `high`."""
    # As good as constant: room around it, in proportion, as 0.5 would be lost in the rounding of a large value.
    if high - low < 1e-6 * max(1.0, abs(high)):
        room = 0.5 * max(1.0, abs(high))
        low, high = low - room, high + room
    rough = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = magnitude * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _epoch_ticks(first: int, last: int) -> list[int]:
    """At most seven whole epochs, the first and last among them."""
    step = max(1, math.ceil((last - first) / 6))
    return [*range(first, last - step // 2, step), last] if last > first else [first]


def _is_drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < _DIVERGED
