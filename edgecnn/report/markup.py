"""HTML and SVG as values: text is escaped unless it already is markup."""

from __future__ import annotations

import html

Attribute = str | float | None


class Markup(str):
    """Text that is inserted into a page without escaping."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: Attribute) -> Markup:
    """Return `<name attributes>children</name>`.

    Args:
        name: Name of the element.
        *children: Text and markup; text is escaped.
        **attributes: Attribute values, always escaped; None omits the attribute. Underscores in a name become hyphens,
            a trailing one is dropped (`class_`).

    Returns:
        The element.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str) -> Markup:
    """Concatenate text and markup.

    Args:
        *parts: Text and markup; text is escaped.

    Returns:
        The markup.
    """
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def shortened(text: str, characters: int) -> str:
    """Replace the middle of a long text with an ellipsis.

    Args:
        text: The text.
        characters: Maximum length.

    Returns:
        The text, if it is short enough, or its start and end.
    """
    half = (characters - 1) // 2
    return text if len(text) <= characters else f"{text[:half]}…{text[-half:]}"


def _number(value: str | float) -> str:
    # Two decimals are a hundredth of a pixel in a chart.
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
