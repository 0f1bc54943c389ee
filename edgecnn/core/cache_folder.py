"""The folder of files that edgecnn can compute again. It may be deleted at any time when nothing uses it."""

from __future__ import annotations

import os
from pathlib import Path

from edgecnn.core.errors import InputError


def cache_folder() -> Path:
    """Return the cache folder, which may not exist yet.

    Returns:
        `$EDGECNN_CACHE` if it is set, otherwise `edgecnn` in the user's cache folder.

    Raises:
        InputError: No folder is configured and the user has no home folder.
    """
    if chosen := os.environ.get("EDGECNN_CACHE"):
        return Path(chosen)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "edgecnn"
    try:
        return Path.home() / ".cache" / "edgecnn"
    except RuntimeError:
        raise InputError("this user has no home folder for a cache: set $EDGECNN_CACHE to a folder") from None
