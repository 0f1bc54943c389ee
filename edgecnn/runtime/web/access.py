"""Who may see the page: this machine, and whoever has the token."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from edgecnn.core.errors import InputError

SHORTEST_TOKEN = 8

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::\d*)?", re.ASCII)
_TOKEN = re.compile(r"[!-~]+")
_FORWARDED = frozenset({b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"cf-connecting-ip"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller must bring."""

    token: str | None = field(repr=False)
    """None only where nobody but this machine can reach the page."""
    port: int
    """Browsers share cookies among all ports of a host, so the cookie's name has it."""

    @property
    def cookie_name(self) -> str:
        return f"edgecnn-{self.port}"

    @property
    def cookie_value(self) -> str:
        """Proves the token, and is fit for a cookie whatever characters that has."""
        return hashlib.sha256((self.token or "").encode()).hexdigest()


def check_token(token: str) -> None:
    """Raises `InputError` for a token that is too easy to guess, or does not fit into a header."""
    if len(token) < SHORTEST_TOKEN:
        raise InputError(f"expected a token of {SHORTEST_TOKEN} characters or more, got {len(token)}; make it longer")
    if not _TOKEN.fullmatch(token):
        raise InputError("expected a token of printable ASCII characters without spaces, got others; choose another")


def page_access(token: str | None, *, loopback_only: bool, port: int) -> Access:
    """The rules for a page; where others can reach it and no token is given, one is made up."""
    return Access(token if token is not None or loopback_only else secrets.token_urlsafe(), port)


def admits(access: Access, caller: HTTPConnection) -> bool:
    """Whether `caller` may see what it asks for."""
    if access.token is None:
        return has_loopback_name(caller)
    return is_this_machine(caller) or shows_token(access, caller)


def shows_token(access: Access, caller: HTTPConnection) -> bool:
    """Whether the caller has the token, or the cookie that it got for it."""
    scheme, _, bearer = caller.headers.get("authorization", "").partition(" ")
    shown = (
        (bearer.strip() if scheme.lower() == "bearer" else "", access.token or ""),
        (caller.query_params.get("token", ""), access.token or ""),
        (caller.cookies.get(access.cookie_name, ""), access.cookie_value),
    )
    return access.token is not None and any(
        secrets.compare_digest(given.encode(errors="replace"), expected.encode()) for given, expected in shown
    )


def is_this_machine(caller: HTTPConnection) -> bool:
    """Whether the caller is a program on this machine that asks for itself, and no page of another site in a browser.

    A proxy here asks for others, and says so; a site whose name was made to point here still sends its own name.
    """
    forwarded = any(name in _FORWARDED or name.startswith(b"x-forwarded-") for name, _ in caller.headers.raw)
    return (
        caller.client is not None and _is_loopback(caller.client.host) and not forwarded and has_loopback_name(caller)
    )


def has_loopback_name(caller: HTTPConnection) -> bool:
    """Whether the page was asked for by a name that only this machine can mean."""
    found = _HOST.fullmatch(caller.headers.get("host", ""))
    if found is None:
        return False
    name = found["name"].strip("[]")
    return name.lower() == "localhost" or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
