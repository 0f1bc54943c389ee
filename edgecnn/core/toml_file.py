"""Files that people write in TOML: recipes, inventories, profiles of devices."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edgecnn.core.errors import InputError


def read_toml(path: Path, what: str, *, hint: str = "") -> dict[str, Any]:
    """The document in a file. `what` and, for a file that is not there, `hint` are for the error, an `InputError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such {what}: {path}{hint}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} is no {what} in TOML: {error}") from None
