"""Masking of passwords in text that is shown."""

from __future__ import annotations

import re

_MASK = "***"
_MAX_LENGTH = 600

# Up to the last "@" of a word, so that a password with an unescaped "/" or "@" is masked completely.
_USER_PASSWORD = re.compile(r"(://[^:/?#@\s]*):[^\s\"']*@")
_SETTING = re.compile(r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|auth)[^=&;\s]*=)[^&;#\s\"']*", re.IGNORECASE)
_OPTION = re.compile(
    r"(--[\w-]*(?:pass|pwd|secret|token|key|auth)[\w-]*(?:\s+|=))(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)
# Typer draws a frame around its errors.
_FRAME = re.compile(r"[\u2500-\u257f]+")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]")


def masked(text: str) -> str:
    """Replace passwords by `***`: in addresses, in their query parameters, and in options.

    Args:
        text: Any text.

    Returns:
        The text without anything that looks like a password.
    """
    for pattern in (_USER_PASSWORD, _SETTING, _OPTION):
        text = pattern.sub(_masked_value, text)
    return text


def printable(text: str) -> str:
    """Prepare a line of a device's output to be shown.

    Args:
        text: A line, which may contain passwords, frames and control characters.

    Returns:
        The masked text, with single spaces and of limited length.
    """
    line = " ".join(_CONTROL.sub(" ", _FRAME.sub(" ", masked(text))).split())
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]}..."


def _masked_value(match: re.Match[str]) -> str:
    return f"{match[1]}:{_MASK}@" if match[0].endswith("@") and match[1].startswith("://") else f"{match[1]}{_MASK}"
