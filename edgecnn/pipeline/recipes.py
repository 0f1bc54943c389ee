"""The recipes that edgecnn brings along."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.errors import InputError, UnknownName

_PACKAGED = Path(__file__).parent.parent / "_pipelines"
"""Where the wheel puts them."""
_CHECKOUT = Path(__file__).parent.parent.parent / "pipelines"


def recipe_files() -> tuple[Path, ...]:
    """The TOML files, sorted by name."""
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return tuple(sorted(folder.glob("*.toml")))


def find_recipe(text: str) -> Path:
    """The file that `text` names: a path, or the name of a recipe that edgecnn brings. Raises `InputError`."""
    path = Path(text)
    if path.is_file():
        return path
    if path.suffix == ".toml":
        raise InputError(f"no such recipe: {path}; edgecnn pipeline list names those that edgecnn brings")
    known = {file.stem: file for file in recipe_files()}
    if text not in known:
        raise UnknownName("recipe", text, known)
    return known[text]
