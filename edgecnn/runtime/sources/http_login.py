"""HTTP authentication of a client to a camera: Basic and Digest."""

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
    """A user and a password; the password is masked in `repr`, so that it does not show up in logs."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, password='***')"


def authorization(login: Login, challenge: str, url: str) -> str | None:
    """Answer a `WWW-Authenticate` challenge.

    Args:
        login: User and password.
        challenge: Value of the `WWW-Authenticate` header.
        url: URL that the request is for.

    Returns:
        The value of the `Authorization` header, or None if the method is neither Basic nor Digest, the challenge is
        malformed, or its digest algorithm is not supported by the standard library.
    """
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
        parameters = parse_keqv_list(parse_http_list(settings))
        request = Request(url)  # noqa: S310 - nothing is opened
        answer = HTTPDigestAuthHandler(passwords).get_authorization(request, parameters)
    except ValueError:
        # The challenge is malformed, or the standard library lacks its digest algorithm.
        return None
    return f"Digest {answer}" if answer else None
