"""Write the tables in docs/formats.md from the models that write and read the formats.

Run it with `python docs/generate_formats.py` after changing a model. The meaning of a key is the attribute docstring
of its field.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel

from edgecnn.core.records.benchmark import BenchmarkRecord
from edgecnn.core.records.comparison import ComparisonRecord
from edgecnn.core.records.evaluation import EvaluationRecord
from edgecnn.core.run.run_folder import RunRecord

DOCUMENT = Path(__file__).with_name("formats.md")

FORMATS: dict[str, type[BaseModel]] = {
    "evaluate": EvaluationRecord,
    "benchmark": BenchmarkRecord,
    "compare": ComparisonRecord,
    "run": RunRecord,
}
"""Models by the name in the markers `<!-- generated: NAME -->`."""

WITHOUT_TABLE = ("edgecnn.core.settings.", "edgecnn.core.preprocess")
"""Modules whose models are described elsewhere."""

JSON_TYPES: dict[object, str] = {
    str: "string",
    Path: "string",
    datetime: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}

BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Field(NamedTuple):
    """A key of an object."""

    name: str
    annotation: Any
    meaning: str


def updated(document: str) -> str:
    """Return a document with up-to-date tables between its markers.

    Args:
        document: Markdown with markers `<!-- generated: NAME -->` and `<!-- end -->`.

    Returns:
        The document with every block replaced.
    """
    described: set[type[BaseModel]] = set()
    return BLOCK.sub(lambda match: f"{match[1]}{''.join(_tables(FORMATS[match[2]], described))}{match[3]}", document)


def fields_of(model: type[BaseModel]) -> Iterator[Field]:
    """Yield the fields of a model in the order of the JSON keys.

    Args:
        model: The model.

    Yields:
        Name, type and meaning, which is the attribute docstring on one line.
    """
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            meanings |= _attribute_docstrings(base)
    for name, field in model.model_fields.items():
        yield Field(name, field.annotation, meanings.get(name, ""))


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0].body  # type: ignore[attr-defined]
    meanings = {}
    for statement, following in pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = " ".join(text.split())
    return meanings


def _tables(root: type[BaseModel], described: set[type[BaseModel]]) -> Iterator[str]:
    """Yield a table for a model and for every model within it that has none yet."""
    waiting = [root]
    while waiting:
        model = waiting.pop(0)
        if any(issubclass(other, model) for other in described):
            continue
        described.add(model)
        fields = list(fields_of(model))
        if model is not root:
            yield f"\n### {model.__name__}\n\n{_description(model)}\n"
        yield "\n| key | type | meaning |\n|---|---|---|\n"
        yield from (f"| `{name}` | {_type(annotation)} | {meaning} |\n" for name, annotation, meaning in fields)
        waiting += [nested for field in fields for nested in _models_in(field.annotation) if _has_table(nested)]
    yield "\n"


def _description(model: type[BaseModel]) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(model) or "").split("\n\n"))


def _has_table(model: type[BaseModel]) -> bool:
    """Return False for models described elsewhere, and for mere combinations of others, which add no keys."""
    return not model.__module__.startswith(WITHOUT_TABLE) and bool(model.__annotations__)


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None:
        return JSON_TYPES.get(annotation) or _object(annotation)
    if origin is tuple:
        count = "" if arguments[-1] is ... else f"{len(arguments)} "
        return f"list of {count}{_plural(_type(arguments[0]))}"
    if origin is dict:
        return f"object of {_plural(_type(arguments[1]))}"
    if origin is Annotated:
        return _type(arguments[0])
    return " or ".join(f"`{argument}`" if origin is Literal else _type(argument) for argument in arguments)


def _object(model: type[BaseModel]) -> str:
    """Return a link to the table of a model, if it has one of its own."""
    is_part_of_a_root = any(issubclass(root, model) for root in FORMATS.values())
    if is_part_of_a_root or not _has_table(model):
        return "object"
    return f"[{model.__name__}](#{model.__name__.lower()})"


def _plural(type_name: str) -> str:
    if " or " in type_name:
        return f"({type_name})"
    first, *others = type_name.split(" ")
    return type_name if first.startswith("[") else " ".join([f"{first}s", *others])


def main() -> None:
    """Update docs/formats.md."""
    DOCUMENT.write_text(updated(DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
