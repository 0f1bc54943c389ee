"""What the sections of a report are made of, and how they look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgecnn.report.markup import Markup, element, join

NONE = "-"
"""Stands where there is nothing to tell."""


def table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A table whose first column names the row."""
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", text) for text in row[1:])) for row in rows
    ]
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="scroll")


def fields(values: Mapping[str, Any]) -> Markup:
    """A list of names and what they are."""
    pairs = [join(element("dt", name), element("dd", _plain(value))) for name, value in values.items()]
    return element("dl", *pairs) if pairs else Markup()


def details(summary: str, content: Iterable[Markup], *, opened: bool) -> Markup:
    """A part that folds under its `summary`."""
    return element("details", element("summary", summary), *content, open="" if opened else None)


def _plain(value: object) -> str:
    if value is None or (isinstance(value, (dict, list)) and not value):
        return NONE
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def percent(fraction: float | None) -> str:
    """A fraction with a digit behind the point."""
    return NONE if fraction is None else f"{100 * fraction:.1f}%"


STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --dim: #5b6573; --page: #f6f7f9; --card: #fff; --line: #dde1e7;
  --training: #2563eb; --validation: #d9620b; --right: 37 99 235; --wrong: 217 70 30; --warning: #b42318; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --dim: #9aa4b2; --page: #12151a; --card: #1b2027;
  --line: #313945; --training: #6ea0ff; --validation: #ffa15c; --right: 70 120 230; --wrong: 225 95 60;
  --warning: #ff8a7a; } }
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
svg { display: block; width: 100%; }
svg text { font-size: 11px; fill: var(--dim); }
svg .grid { stroke: var(--line); }
svg g.training { color: var(--training); } svg g.validation { color: var(--validation); }
svg path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
svg circle { fill: currentColor; }
.square { max-width: 340px; }
svg .axis { font-size: 12px; }
svg .diagonal, svg .mark { stroke: var(--dim); stroke-dasharray: 4 4; }
svg g.others { color: var(--dim); } svg g.others path { stroke-width: 1; opacity: .45; }
.key.others { color: var(--dim); }
svg .bubble { fill: var(--training); fill-opacity: .55; }
svg .point { fill: var(--validation); }
.key.point { color: var(--validation); }
.confusion th, .confusion td { padding: 4px; border: 1px solid var(--card); text-align: center; }
.confusion td { min-width: 34px; height: 34px; }
.confusion thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion tbody th { text-align: right; padding: 4px 8px 4px 0; }
.confusion .corner { font-weight: 400; text-align: right; vertical-align: bottom; }
.confusion .right { background: rgb(var(--right) / var(--shade)); }
.confusion .wrong { background: rgb(var(--wrong) / var(--shade)); }
.confusion .deep { color: #fff; }
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
