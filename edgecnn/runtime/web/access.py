"""Access control of the page: it admits this machine, and callers with the token."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from edgecnn.core.errors import InputError

MIN_TOKEN_LENGTH = 8

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::\d*)?", re.ASCII)
_TOKEN = re.compile(r"[!-~]+")
_FORWARDED = frozenset({b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip"})


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials that a page requires."""

    token: str | None = field(repr=False)
    """Token, or None if only this machine can reach the page."""
    port: int
    """Port of the page. It is part of the cookie's name, because browsers share cookies among all ports of a host."""

    @property
    def cookie_name(self) -> str:
        """Name of the cookie that replaces the token."""
        return f"edgecnn-{self.port}"

    @property
    def cookie_value(self) -> str:
        """Hash of the token: it proves the token, and contains only characters that are valid in a cookie."""
        return hashlib.sha256((self.token or "").encode()).hexdigest()


def check_token(token: str) -> None:
    """Check a token given by the user.

    Args:
        token: Token to check.

    Raises:
        InputError: If it is too easy to guess, or contains characters that are invalid in a header.
    """
    if len(token) < MIN_TOKEN_LENGTH:
        raise InputError(f"expected a token of {MIN_TOKEN_LENGTH} characters or more, got {len(token)}; make it longer")
    if not _TOKEN.fullmatch(token):
        raise InputError("expected a token of printable ASCII characters without spaces, got others; choose another")


def page_access(token: str | None, *, loopback_only: bool, port: int) -> Access:
    """Create the access rules of a page.

    Args:
        token: Token given by the user, or None.
        loopback_only: True if only this machine can reach the page; otherwise a missing token is generated.
        port: Port of the page.

    Returns:
        The rules.
    """
    return Access(token if token is not None or loopback_only else secrets.token_urlsafe(), port)


def admits(access: Access, caller: HTTPConnection) -> bool:
    """Decide whether a request may be answered.

    Args:
        access: Rules of the page.
        caller: The request.

    Returns:
        With a token, True if the caller is this machine or presents the token. Without one, only this machine can
        connect, and the host must be a loopback name.
    """
    if access.token is None:
        return has_loopback_name(caller)
    return is_this_machine(caller) or presents_token(access, caller)


def presents_token(access: Access, caller: HTTPConnection) -> bool:
    """Return True if a request contains the token, or the cookie that was issued for it.

    Args:
        access: Rules of the page.
        caller: The request.

    Returns:
        True if the Authorization header, the query or the cookie is right; False if there is no token.
    """
    scheme, _, bearer = caller.headers.get("authorization", "").partition(" ")
    credentials = (
        (bearer.strip() if scheme.lower() == "bearer" else "", access.token or ""),
        (caller.query_params.get("token", ""), access.token or ""),
        (caller.cookies.get(access.cookie_name, ""), access.cookie_value),
    )
    return access.token is not None and any(
        secrets.compare_digest(given.encode(errors="replace"), expected.encode()) for given, expected in credentials
    )


def is_this_machine(caller: HTTPConnection) -> bool:
    """Return True if a program on this machine makes a request on its own behalf.

    A proxy on this machine forwards requests of others, and adds headers that say so. A page of another site whose name
    was made to resolve to this machine (DNS rebinding) still sends its own name as the host.

    Args:
        caller: The request.

    Returns:
        True if the peer has a loopback address, the request was not forwarded, and the host is a loopback name.
    """
    forwarded = any(name in _FORWARDED or name.startswith(b"x-forwarded-") for name, _ in caller.headers.raw)
    return (
        caller.client is not None and _is_loopback(caller.client.host) and not forwarded and has_loopback_name(caller)
    )


def has_loopback_name(caller: HTTPConnection) -> bool:
    """Return True if the Host header is a name that can only stand for this machine.

    Args:
        caller: The request.

    Returns:
        True for localhost and for loopback addresses, with or without a port.
    """
    match = _HOST.fullmatch(caller.headers.get("host", ""))
    if match is None:
        return False
    name = match["name"].strip("[]")
    return name.lower() == "localhost" or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
