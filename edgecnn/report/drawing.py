"""Drawings in SVG: part of a page, or a file of their own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from edgecnn.report.markup import Markup, element, join

LIGHT = {
    "text": "#1c2330",
    "dim": "#5b6573",
    "page": "#f6f7f9",
    "card": "#fff",
    "line": "#dde1e7",
    "training": "#2563eb",
    "validation": "#d9620b",
    "rate": "#15803d",
    "right": "#2563eb",
    "wrong": "#d9461e",
    "warning": "#b42318",
}
DARK = {
    "text": "#e6e9ee",
    "dim": "#9aa4b2",
    "page": "#12151a",
    "card": "#1b2027",
    "line": "#313945",
    "training": "#6ea0ff",
    "validation": "#ffa15c",
    "rate": "#5fc98a",
    "right": "#4678e6",
    "wrong": "#e15f3c",
    "warning": "#ff8a7a",
}

CHART_STYLE = """
svg text { font-size: 11px; fill: var(--dim); }
svg .title { font-size: 14px; font-weight: 600; fill: var(--text); }
svg .axis { font-size: 12px; }
svg .grid { stroke: var(--line); }
svg .training { color: var(--training); }
svg .validation { color: var(--validation); }
svg .rate { color: var(--rate); }
svg path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg circle { fill: currentColor; }
svg .diagonal, svg .mark { stroke: var(--dim); stroke-dasharray: 4 4; }
svg .others { color: var(--dim); }
svg .others path { stroke-width: 1; opacity: .45; }
svg .bubble { fill: var(--training); fill-opacity: .55; }
svg .point { fill: var(--validation); }
svg .frame { fill: none; stroke: var(--line); }
svg .name, svg .count { fill: var(--text); }
svg .right { fill: var(--right); }
svg .wrong { fill: var(--wrong); }
svg .deep { fill: #fff; }
"""
"""Style of the charts; every color is a variable."""

_MARGIN = 16
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Drawing(NamedTuple):
    """SVG elements within a rectangle whose upper left corner is (0, 0)."""

    label: str
    """Description for screen readers."""
    width: float
    height: float
    content: Markup


def inline_svg(drawing: Drawing) -> Markup:
    """Return a drawing for a page, which supplies `CHART_STYLE` and the colors.

    Args:
        drawing: The drawing.

    Returns:
        An `<svg>` element.
    """
    return element(
        "svg",
        drawing.content,
        viewBox=f"0 0 {drawing.width:g} {drawing.height:g}",
        width=drawing.width,
        height=drawing.height,
        role="img",
        aria_label=drawing.label,
    )


def svg_file(drawing: Drawing) -> str:
    """Return a drawing as a file of its own.

    The colors are those of the light page on a white background, written out because many viewers know no CSS
    variables; so the file is readable in dark viewers too.

    Args:
        drawing: The drawing.

    Returns:
        The text of the file.
    """
    width, height = drawing.width + 2 * _MARGIN, drawing.height + 2 * _MARGIN
    style = re.sub(r"var\(--(\w+)\)", lambda match: LIGHT[match[1]], CHART_STYLE)
    svg = element(
        "svg",
        element("style", Markup(f"svg {{ font-family: system-ui, sans-serif; }}{style}")),
        element("rect", width="100%", height="100%", fill="#fff"),
        element("g", drawing.content, transform=f"translate({_MARGIN} {_MARGIN})"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        aria_label=drawing.label,
    )
    # A folder name may contain characters that XML does not allow.
    return _NOT_XML.sub("\ufffd", svg) + "\n"


def side_by_side(drawings: Sequence[Drawing], gap: float) -> Drawing:
    """Arrange drawings in a row.

    Args:
        drawings: At least one drawing.
        gap: Distance between two drawings.

    Returns:
        The row.
    """
    placed, x = [], 0.0
    for drawing in drawings:
        placed.append(element("g", drawing.content, transform=f"translate({x:g} 0)"))
        x += drawing.width + gap
    label = "; ".join(drawing.label for drawing in drawings)
    return Drawing(label, x - gap, max(drawing.height for drawing in drawings), join(*placed))


def stacked(drawings: Sequence[Drawing], gap: float) -> Drawing:
    """Arrange drawings in a column.

    Args:
        drawings: At least one drawing.
        gap: Distance between two drawings.

    Returns:
        The column.
    """
    placed, y = [], 0.0
    for drawing in drawings:
        placed.append(element("g", drawing.content, transform=f"translate(0 {y:g})"))
        y += drawing.height + gap
    label = "; ".join(drawing.label for drawing in drawings)
    return Drawing(label, max(drawing.width for drawing in drawings), y - gap, join(*placed))


def text_width(text: str, size: float) -> float:
    """Estimate the width of a text, which depends on the viewer's font.

    Args:
        text: The text.
        size: Font size in pixels.

    Returns:
        Pixels, rather too many than too few.
    """
    return size * sum(1.05 if unicodedata.east_asian_width(character) in "WF" else 0.6 for character in text)
