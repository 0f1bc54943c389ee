"""Camera addresses, and how to print them without their secrets."""

from __future__ import annotations

import re

_MASK = "***"

# The pattern is greedy up to the last "@" of the whole text. A password with an unescaped "/" or "@" makes the address
# invalid, and must not appear in the message that says so.
_USER_PASSWORD = re.compile(r"^([a-z][a-z0-9+.-]*://[^:/?#@]*):.*@", re.IGNORECASE | re.DOTALL)
_SECRET_SETTING = re.compile(r"([?&;][^=&;]*(?:pass|pwd|secret|token|key|auth)[^=&;]*=)[^&;#]*", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Return True if a source is given as a URL with a scheme that network cameras use.

    Args:
        text: Value of `--source`.

    Returns:
        True for http, https, rtsp and rtsps, in any case.
    """
    return text.lower().startswith(("http://", "https://", "rtsp://", "rtsps://"))


def printable_address(address: str) -> str:
    """Mask the password in an address, and every setting that looks like one (`?pwd=`, `&token=`).

    Args:
        address: URL, which need not be valid. Other text is returned unchanged.

    Returns:
        The address with `***` in place of each secret.
    """
    without_password = _USER_PASSWORD.sub(rf"\1:{_MASK}@", address)
    return _SECRET_SETTING.sub(rf"\1{_MASK}", without_password)
