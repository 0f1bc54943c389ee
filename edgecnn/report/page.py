"""Building blocks of the report and their style."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgecnn.report.drawing import CHART_STYLE, DARK, LIGHT
from edgecnn.report.markup import Markup, element, join

NONE = "-"
"""Placeholder for a missing value."""


def table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Markup:
    """Return a table whose first column names the row.

    Args:
        heads: Titles of the columns.
        rows: Cells by row.

    Returns:
        The table, which scrolls if it is too wide.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", text) for text in row[1:])) for row in rows
    ]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def fields(values: Mapping[str, Any]) -> Markup:
    """Return a list of names and values.

    Args:
        values: Plain JSON values by name.

    Returns:
        The list; empty markup without values.
    """
    pairs = [join(element("dt", name), element("dd", _plain(value))) for name, value in values.items()]
    return element("dl", *pairs) if pairs else Markup()


def details(summary: str, content: Iterable[Markup], *, opened: bool) -> Markup:
    """Return a part of the page that can be folded.

    Args:
        summary: Title, which stays visible.
        content: Content to fold.
        opened: True if the part is unfolded at first.

    Returns:
        The part.
    """
    return element("details", element("summary", summary), *content, open="" if opened else None)


def _plain(value: object) -> str:
    if value is None or (isinstance(value, (dict, list)) and not value):
        return NONE
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def percent(fraction: float | None) -> str:
    """Format a fraction as a percentage with one decimal.

    Args:
        fraction: A fraction, or None for a missing value.

    Returns:
        The percentage, or `NONE`.
    """
    return NONE if fraction is None else f"{100 * fraction:.1f}%"


def figure(value: float | None) -> str:
    """Format a number with four decimals.

    Args:
        value: A number, or None for a missing value.

    Returns:
        The number, or `NONE`.
    """
    return NONE if value is None else f"{value:.4f}"


def _variables(colors: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {color};" for name, color in colors.items())


STYLE = (
    f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
{CHART_STYLE}"""
    + """
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 16px; }
header p { margin: 0; }
h1 { margin: 8px 0 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 1.2rem; }
h3 { margin: 20px 0 8px; font-size: 1rem; }
p { margin: 8px 0; color: var(--dim); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 16px 0; }
code { font-size: .875em; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 0 6px 18px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th { color: var(--dim); vertical-align: bottom; }
th:first-child { text-align: left; padding-left: 0; }
tbody th { position: sticky; left: 0; background: var(--card); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 16px; }
.scroll + .charts { margin-top: 20px; }
figure { margin: 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 0 14px; font-size: .875rem; }
.key::before { content: ""; display: inline-block; width: 14px; height: 3px; margin: 0 6px 4px 0;
  background: currentColor; }
.key.training { color: var(--training); } .key.validation { color: var(--validation); }
svg { display: block; }
.charts svg { width: 100%; height: auto; }
.square { max-width: 340px; }
.key.others { color: var(--dim); }
.key.point { color: var(--validation); }
details + details { margin-top: 12px; }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 4px 16px; margin: 0;
  font-size: .875rem; }
dt { color: var(--dim); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 480px) { main { padding: 8px; } section { padding: 12px; } th, td { padding-left: 10px; } }
.empty { font-style: italic; }
.warning { color: var(--warning); }
"""
)
