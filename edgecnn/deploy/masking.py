"""Text in which there may be a password, made fit to be shown."""

from __future__ import annotations

import re

_MASK = "***"
_LONGEST = 600

# Up to the last "@" of a word: a password with an unescaped "/" or "@" in it must not show either.
_USER_PASSWORD = re.compile(r"(://[^:/?#@\s]*):[^\s\"']*@")
_SETTING = re.compile(r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|auth)[^=&;\s]*=)[^&;#\s\"']*", re.IGNORECASE)
_OPTION = re.compile(
    r"(--[\w-]*(?:pass|pwd|secret|token|key|auth)[\w-]*(?:\s+|=))(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)
# Typer draws a frame around what it has to say.
_FRAME = re.compile(r"[\u2500-\u257f]+")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f]")


def masked(text: str) -> str:
    """`text` with what looks like a password replaced by `***`: in addresses, their settings, and options."""
    for pattern in (_USER_PASSWORD, _SETTING, _OPTION):
        text = pattern.sub(_masked_value, text)
    return text


def printable(text: str) -> str:
    """A line that a device said, masked, without frames and control characters, in single spaces, and not too long."""
    words = " ".join(_CONTROL.sub(" ", _FRAME.sub(" ", masked(text))).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}..."


def _masked_value(found: re.Match[str]) -> str:
    return f"{found[1]}:{_MASK}@" if found[0].endswith("@") and found[1].startswith("://") else f"{found[1]}{_MASK}"
