"""Names of topics and clients."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable


def topic_levels(cameras: Iterable[str]) -> tuple[str, ...]:
    """Derive a distinct topic level from the name of each camera.

    Args:
        cameras: Names of the cameras.

    Returns:
        A level for each camera, as by `topic_level`; repeated ones end with -2, -3 and so on.
    """
    levels: list[str] = []
    for name in cameras:
        level = topic_level(name)
        numbered = (f"{level}-{number}" for number in itertools.count(2))
        levels.append(next(candidate for candidate in itertools.chain([level], numbered) if candidate not in levels))
    return tuple(levels)


def topic_level(name: str) -> str:
    """Derive a readable topic level from a name.

    Args:
        name: Any text.

    Returns:
        Lowercase ASCII letters, digits and hyphens, at least one of them.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "camera"


def identifier(*parts: str) -> str:
    """Derive a stable client identifier.

    Args:
        *parts: Texts that identify the client.

    Returns:
        23 letters and digits, the longest identifier that every broker must accept; equal for equal parts.
    """
    return f"edgecnn{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"
