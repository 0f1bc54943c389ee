"""Curves by epoch as a drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from edgecnn.report.drawing import Drawing, text_width
from edgecnn.report.markup import Markup, element, join

_WIDTH, _HEIGHT = 360, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 32, 30
_TITLE_Y = 14
_KEY_SIZE = 11
_POINTS_WITH_DOTS = 30
"""Above this number of points, dots would hide the curve."""
_DIVERGED = 1e30
"""A loss of this size carries no information, and its axis would overflow."""
_ZERO = 1e-12
"""Smaller values are drawn as 0."""


class Curve(NamedTuple):
    """Values by epoch."""

    name: str
    style: str
    """CSS class that sets the color: `training`, `validation` or `rate`."""
    values: Sequence[float | None]
    """One value per epoch; None leaves a gap."""


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


def line_chart(title: str, epochs: Sequence[int], curves: Sequence[Curve], marked: int | None = None) -> Drawing:
    """Draw curves by epoch. Values that are None, NaN or too large to draw leave a gap.

    Args:
        title: Title of the chart.
        epochs: Epoch numbers, rising.
        curves: Curves with one value per epoch.
        marked: An epoch to mark with a line and with the value of the last curve.

    Returns:
        The chart.
    """
    drawable = [value for curve in curves for value in curve.values if _is_drawable(value)]
    if drawable:
        ticks = _ticks(min(drawable), max(drawable))
        axes = _Axes(min(epochs), max(epochs), ticks[0], ticks[-1])
        plot = join(
            *(_grid_line(axes, tick) for tick in ticks),
            *(_epoch_label(axes, epoch) for epoch in _epoch_ticks(axes.first, axes.last)),
            *([_mark(axes, marked, _value_at(marked, epochs, curves[-1]))] if marked is not None else []),
            *(_curve(axes, epochs, curve) for curve in curves),
        )
    else:
        plot = element("text", "no values", x=_WIDTH / 2, y=_HEIGHT / 2, text_anchor="middle")
    heading = element("text", title, x=0, y=_TITLE_Y, class_="title")
    return Drawing(f"{title} by epoch", _WIDTH, _HEIGHT, join(heading, *_legend(curves), plot))


def _legend(curves: Sequence[Curve]) -> list[Markup]:
    """Return a colored line and a name for each curve, from the right edge of the chart; none for a single curve."""
    if len(curves) < 2:
        return []
    entries = []
    x = float(_WIDTH - _RIGHT)
    for curve in reversed(curves):
        x -= text_width(curve.name, _KEY_SIZE)
        name = element("text", curve.name, x=x, y=_TITLE_Y)
        entries.append(join(element("g", element("path", d=f"M{x - 20:.1f} 10h14"), class_=curve.style), name))
        x -= 30
    return entries[::-1]


def _value_at(epoch: int, epochs: Sequence[int], curve: Curve) -> float | None:
    return dict(zip(epochs, curve.values, strict=True)).get(epoch)


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


def _mark(axes: _Axes, epoch: int, value: float | None) -> Markup:
    x = axes.x(epoch)
    line = element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark")
    if not _is_drawable(value):
        return line
    near_right_edge = x > _WIDTH / 2
    anchor, offset = ("end", -5) if near_right_edge else ("start", 5)
    # At the edge that the curve is farther from, so that the number does not cover it.
    upper = axes.y(value) > (_TOP + _HEIGHT - _BOTTOM) / 2
    y = _TOP + 12 if upper else _HEIGHT - _BOTTOM - 6
    return join(line, element("text", f"{value:.4g}", x=x + offset, y=y, text_anchor=anchor))


def _ticks(low: float, high: float) -> list[float]:
    """Return about four round values; the first is at most `low`, the last at least `high`."""
    scale = max(abs(low), abs(high))
    # Make room around nearly constant values, in proportion: 0.5 would be lost in the rounding of a large value.
    if high - low < 1e-6 * scale or scale < _ZERO:
        room = 0.5 * scale if scale >= _ZERO else 0.5
        low, high = low - room, high + room
    rough = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = magnitude * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _epoch_ticks(first: int, last: int) -> list[int]:
    """Return at most seven epochs, including the first and the last."""
    step = max(1, math.ceil((last - first) / 6))
    return [*range(first, last - step // 2, step), last] if last > first else [first]


def _is_drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < _DIVERGED
