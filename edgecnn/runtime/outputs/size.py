"""Sizes of files as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

from edgecnn.core.errors import InputError

_UNITS = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}


def parse_size(text: str) -> int:
    """Reads a number and its unit, such as 500MB or 1.5 GiB, as whole bytes, the rest of a byte left out.

    Raises `InputError`, also for less than a byte.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", text.strip(), re.ASCII)
    size_bytes = int(Decimal(found[1]) * _UNITS.get(found[2], 0)) if found else 0
    if size_bytes < 1:
        raise InputError(
            f"expected a size of a byte or more in {', '.join(_UNITS)}, got {text!r}; write such as 500MB or 1.5GiB"
        )
    return size_bytes
