"""Addresses of cameras, fit to be printed."""

from __future__ import annotations

import re

_MASK = "***"

# Up to the last "@" of the whole text: a password with an unescaped "/" or "@" in it is no valid address, and still
# must not appear in the message that says so.
_USER_PASSWORD = re.compile(r"^([a-z][a-z0-9+.-]*://[^:/?#@]*):.*@", re.IGNORECASE | re.DOTALL)
_SECRET_SETTING = re.compile(r"([?&;][^=&;]*(?:pass|pwd|secret|token|key|auth)[^=&;]*=)[^&;#]*", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether `text` is a URL of a kind that a network camera has."""
    return text.lower().startswith(("http://", "https://", "rtsp://", "rtsps://"))


def printable_address(address: str) -> str:
    """The address with its password, and settings that look like one (`?pwd=`, `&token=`), replaced by `***`."""
    without_password = _USER_PASSWORD.sub(rf"\1:{_MASK}@", address)
    return _SECRET_SETTING.sub(rf"\1{_MASK}", without_password)
