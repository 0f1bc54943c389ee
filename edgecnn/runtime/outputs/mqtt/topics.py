"""What topics and clients are called."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable


def topic_levels(cameras: Iterable[str]) -> tuple[str, ...]:
    """A topic level for every camera, by their names: ASCII letters, digits and hyphens; to tell two apart, with -2."""
    levels: list[str] = []
    for name in cameras:
        level = topic_level(name)
        numbered = (f"{level}-{number}" for number in itertools.count(2))
        levels.append(next(each for each in itertools.chain([level], numbered) if each not in levels))
    return tuple(levels)


def topic_level(name: str) -> str:
    """A topic level that resembles `name`: ASCII letters, digits and hyphens, at least one of them."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-") or "camera"


def identifier(*parts: str) -> str:
    """The same for the same parts: 23 letters and digits, which every broker takes as a client's name."""
    return f"edgecnn{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"
