"""HTML and SVG as values: text is escaped unless it is markup already."""

from __future__ import annotations

import html

Attribute = str | float | None


class Markup(str):
    """Text that may stand in a page as it is."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: Attribute) -> Markup:
    """`<name attributes>children</name>`; children that are not `Markup` are escaped, as are all attributes.

    An attribute's underscores become hyphens, a trailing one is dropped (`class_`), and None leaves it out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str) -> Markup:
    """Parts one after the other, those that are not `Markup` escaped."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def _number(value: str | float) -> str:
    # Two decimals are a hundredth of a pixel in a chart.
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
