"""A lint for the project's prose: docstrings, user-visible strings and documents.

Run it on a checkout with `python tests/language/prose_lint.py [FOLDER]`; it prints one line per problem and exits 1 if
there is one. `CONTRIBUTING.md` describes the rules.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

CLAUSE = re.compile(
    r"(What|Whether|Where|Which|How|Who|Whose|When|Why|Of|The same|Same|As|By|That|From|Behind|So|Likewise|Until|Since"
    r"|Like|Only|Not|Such|Thus|Lest)\b"
)
"""First words that open a relative or an elliptic clause instead of a verb or a noun phrase."""

CLAUSES_ALLOWED: frozenset[str] = frozenset()
"""Docstrings that may open with such a word, as `path:name`."""

IDIOMS = {
    r"\bso (many|much) (?!that\b|so\b|as\b)": "N, or 'this many'",
    r"\b(tells?|told)\b(?! apart)": "report, log, specify",
    r"\b(go|goes|going|gone|went) on\b": "continue, resume",
    r"\banew\b": "again, from the beginning",
    r"\b(is|are) to be\b": "must",
    r"\bno whole\b": "incomplete",
    r"\b(does|do|did) not hold\b": "is invalid, does not contain",
    r"\bbelongs? into\b": "belongs in",
    r"\bleave (it |them )?away\b": "remove",
    r"\bgoes? before\b": "overrides",
    r"\bmakes? way\b": "is rotated out, is replaced",
    r"\bby (itself|themselves)\b": "automatically",
    r"\blest\b": "so that ... not",
    r"\bthus\b": "so, therefore",
}
"""Idioms that a reader has to translate, each with what to write instead."""


class Problem(NamedTuple):
    """A line to rewrite."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class _Documented(NamedTuple):
    name: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    in_class: bool
    docstring: str


def problems_in(root: Path) -> Iterator[Problem]:
    """Yield every problem below a checkout's root."""
    for path in sorted((root / "edgecnn").rglob("*.py")):
        name = path.relative_to(root)
        yield from problems_in_source(name, path.read_text(), is_library=name.parts[1] != "cli")
    for path in sorted([*root.glob("*.md"), *(root / "docs").glob("*.md")]):
        yield from problems_in_document(path.relative_to(root), path.read_text())


def problems_in_source(path: Path, source: str, *, is_library: bool = True) -> Iterator[Problem]:
    """Yield the problems of a Python file: docstrings first, then strings that a user may see."""
    tree = ast.parse(source)
    documented = list(_documented(tree))
    for each in documented:
        line = each.node.body[0].lineno
        if CLAUSE.match(each.docstring) and f"{path}:{each.name}" not in CLAUSES_ALLOWED:
            yield Problem(path, line, f"docstring of {each.name} opens with {each.docstring.split()[0]!r}")
        if is_library:
            yield from (Problem(path, line, text) for text in _missing_sections(each))
    docstrings = {id(each.node.body[0].value) for each in documented}  # type: ignore[attr-defined]
    attributes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | attributes:
            yield from (Problem(path, node.lineno, text) for text in idioms_in(node.value))


def problems_in_document(path: Path, text: str) -> Iterator[Problem]:
    """Yield the idioms in the prose of a Markdown file; code blocks are skipped."""
    prose = re.sub(r"```.*?```", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(prose.splitlines(), start=1):
        yield from (Problem(path, number, message) for message in idioms_in(re.sub(r"`[^`]*`", "", line)))


def idioms_in(text: str) -> Iterator[str]:
    """Yield a message for every idiom in a text."""
    for pattern, instead in IDIOMS.items():
        if match := re.search(pattern, text, re.IGNORECASE):
            yield f"{match[0]!r}: write {instead}"


def _documented(tree: ast.Module) -> Iterator[_Documented]:
    parents: list[tuple[ast.AST, str]] = [(tree, "")]
    if docstring := ast.get_docstring(tree):
        yield _Documented("module", tree, False, docstring)
    while parents:
        parent, prefix = parents.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{node.name}"
                if docstring := ast.get_docstring(node):
                    yield _Documented(name, node, isinstance(parent, ast.ClassDef), docstring)
                parents.append((node, f"{name}."))


def _missing_sections(each: _Documented) -> Iterator[str]:
    """Yield what the docstring of a public function lacks of Args and Returns.

    A method with one argument may do with its summary.
    """
    node = each.node
    if not isinstance(node, ast.FunctionDef) or any(part.startswith("_") for part in each.name.split(".")):
        return
    if "." in each.name and not each.in_class:
        return
    decorators = {getattr(decorator, "id", getattr(decorator, "attr", "")) for decorator in node.decorator_list}
    if decorators & {"property", "cached_property", "setter", "overload", "field_validator", "model_validator"}:
        return
    arguments = node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names = [name for name in names if name not in ("self", "cls")]
    if each.in_class and len(names) < 2:
        return
    if names and "Args:" not in each.docstring:
        yield f"docstring of {each.name} has no Args section"
    gives_nothing = node.returns is None or (isinstance(node.returns, ast.Constant) and node.returns.value is None)
    if not gives_nothing and not re.search(r"^(Returns|Yields):", each.docstring, re.MULTILINE):
        yield f"docstring of {each.name} has no Returns section"


def main() -> int:
    """Print the problems of a checkout; return 1 if there is one."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    problems = list(problems_in(root))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
