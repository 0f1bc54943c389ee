"""What a client answers when an HTTP camera asks who it is."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.request import (
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    Request,
    parse_http_list,
    parse_keqv_list,
)


class Login(NamedTuple):
    """A user and a password, with a representation fit for logs."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, password='***')"


def authorization(login: Login, challenge: str, url: str) -> str | None:
    """The `Authorization` header for a `WWW-Authenticate: challenge` (Basic or Digest); None for other methods."""
    method, _, settings = challenge.partition(" ")
    if method.lower() == "basic":
        return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
    if method.lower() == "digest":
        return _digest(login, settings, url)
    return None


def _digest(login: Login, settings: str, url: str) -> str | None:
    passwords = HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, login.user, login.password)
    try:
        asked = parse_keqv_list(parse_http_list(settings))
        answer = HTTPDigestAuthHandler(passwords).get_authorization(Request(url), asked)  # noqa: S310 - nothing is opened
    except ValueError:
        # A challenge that is none, or a digest algorithm that the standard library does not have.
        return None
    return f"Digest {answer}" if answer else None
