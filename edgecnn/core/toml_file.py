"""TOML files that people write: recipes, inventories and device profiles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgecnn.core.errors import InputError


def read_toml(path: Path, what: str, *, hint: str = "") -> dict[str, Any]:
    """Read a TOML document.

    Args:
        path: TOML file.
        what: Kind of document, for the error messages.
        hint: Text appended to the error message if the file is missing.

    Returns:
        The document.

    Raises:
        InputError: The file is missing, cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such {what}: {path}{hint}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{what} {path} is not valid TOML: {error}") from None
