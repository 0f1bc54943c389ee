"""The recipes that ship with edgecnn."""

from __future__ import annotations

from pathlib import Path

from edgecnn.core.errors import InputError, UnknownName

_PACKAGED = Path(__file__).parent.parent / "_pipelines"
"""Folder of the recipes in the wheel."""
_CHECKOUT = Path(__file__).parent.parent.parent / "pipelines"


def recipe_files() -> tuple[Path, ...]:
    """List the recipes that ship with edgecnn.

    Returns:
        The TOML files, sorted by name.
    """
    folder = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    return tuple(sorted(folder.glob("*.toml")))


def find_recipe(text: str) -> Path:
    """Find a recipe by path or by name.

    Args:
        text: Path of a TOML file, or the name of a recipe that ships with edgecnn.

    Returns:
        The TOML file.

    Raises:
        InputError: If there is no such file.
        UnknownName: If no recipe has this name.
    """
    path = Path(text)
    if path.is_file():
        return path
    if path.suffix == ".toml":
        raise InputError(f"no such recipe: {path}; edgecnn pipeline list shows those that ship with edgecnn")
    known = {file.stem: file for file in recipe_files()}
    if text not in known:
        raise UnknownName("recipe", text, known)
    return known[text]
