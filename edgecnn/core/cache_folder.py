"""Where edgecnn keeps what it can compute again. The folder may be deleted at any time that nothing uses it."""

from __future__ import annotations

import os
from pathlib import Path

from edgecnn.core.errors import InputError


def cache_folder() -> Path:
    """`$EDGECNN_CACHE`, else `edgecnn` in the user's cache folder. Raises `InputError` for a user without a home."""
    if chosen := os.environ.get("EDGECNN_CACHE"):
        return Path(chosen)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "edgecnn"
    try:
        return Path.home() / ".cache" / "edgecnn"
    except RuntimeError:
        raise InputError("this user has no home folder for a cache: name a folder in $EDGECNN_CACHE") from None
