"""Charts of the quality of probabilities, as inline SVG: the reliability diagram and ROC curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from edgecnn.core.metrics.calibration_error import Bin
from edgecnn.report.drawing import Drawing, inline_svg
from edgecnn.report.markup import Markup, element, join

_SIDE = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 14, 46
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LARGEST_BUBBLE = 14

_Point = tuple[float, float]
"""x and y, both from 0 to 1."""


def reliability_chart(bins: Sequence[Bin]) -> Markup:
    """Draw accuracy over confidence: one bubble per bin, whose area is the share of photos.

    On the diagonal a model is right as often as it claims; below it, the model is overconfident.

    Args:
        bins: At least one bin.

    Returns:
        A figure.
    """
    total = sum(each.n for each in bins)
    bubbles = (
        element(
            "circle",
            element("title", f"{each.n} photos: confidence {each.confidence:.3f}, accuracy {each.accuracy:.3f}"),
            cx=_x(each.confidence),
            cy=_y(each.accuracy),
            r=max(2.0, _LARGEST_BUBBLE * math.sqrt(each.n / total)),
            class_="bubble",
        )
        for each in bins
    )
    return _figure("Reliability", (), "confidence", "accuracy", bubbles)


def roc_chart(curves: Mapping[str, Sequence[_Point]], shown: str, decided: _Point) -> Markup:
    """Draw ROC curves.

    Args:
        curves: Points `(false positive rate, true positive rate)` from corner to corner, by class.
        shown: The class whose curve is highlighted.
        decided: The rates of its decisions, marked by a point. With more than two classes it may lie off the curve.

    Returns:
        A figure.
    """
    others = (_path(curve) for label, curve in curves.items() if label != shown)
    drawing = (
        element("g", *others, class_="others"),
        element("g", _path(curves[shown]), class_="training"),
        element("circle", cx=_x(decided[0]), cy=_y(decided[1]), r=4, class_="point"),
    )
    keys = [(shown, "training"), ("its decisions", "point")]
    if len(curves) > 1:
        keys.append(("other classes", "others"))
    return _figure("ROC", keys, "false positive rate", "true positive rate", drawing)


def _figure(title: str, keys: Iterable[tuple[str, str]], across: str, up: str, drawing: Iterable[Markup]) -> Markup:
    """Return a square plot from 0 to 1 in both directions, with its diagonal."""
    middle_x, middle_y = _x(0.5), _y(0.5)
    content = join(
        *map(_ticks, _TICKS),
        element("line", x1=_x(0), y1=_y(0), x2=_x(1), y2=_y(1), class_="diagonal"),
        *drawing,
        element("text", across, x=middle_x, y=_y(0) + 38, text_anchor="middle", class_="axis"),
        element(
            "text", up, x=12, y=middle_y, text_anchor="middle", transform=f"rotate(-90 12 {middle_y:g})", class_="axis"
        ),
    )
    label = f"{title}: {up} over {across}"
    svg = inline_svg(Drawing(label, _LEFT + _SIDE + _RIGHT, _TOP + _SIDE + _BOTTOM, content))
    legend = [element("span", text, class_=f"key {style}") for text, style in keys]
    return element("figure", element("figcaption", element("b", title), *legend), svg, class_="square")


def _ticks(value: float) -> Markup:
    x, y = _x(value), _y(value)
    return join(
        element("line", x1=_x(0), x2=_x(1), y1=y, y2=y, class_="grid"),
        element("line", x1=x, x2=x, y1=_y(0), y2=_y(1), class_="grid"),
        element("text", f"{value:g}", x=_x(0) - 6, y=y + 4, text_anchor="end"),
        element("text", f"{value:g}", x=x, y=_y(0) + 18, text_anchor="middle"),
    )


def _path(points: Sequence[_Point]) -> Markup:
    steps = (f"{'L' if index else 'M'}{_x(x):.1f} {_y(y):.1f}" for index, (x, y) in enumerate(points))
    return element("path", d=" ".join(steps))


def _x(value: float) -> float:
    return _LEFT + value * _SIDE


def _y(value: float) -> float:
    return _TOP + (1 - value) * _SIDE
