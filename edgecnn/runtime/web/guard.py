"""Middleware of the page: access control, and security headers on every response."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecnn.runtime.web.access import Access, admits, presents_token

_COOKIE_MAX_AGE_S = 30 * 24 * 3600

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FORM_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


class Guard:
    """ASGI application that wraps another, and passes only admitted requests to it."""

    def __init__(self, app: ASGIApp, access: Access, token_form: bytes) -> None:
        self._app = app
        self._access = access
        self._token_form = token_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            return
        response = self._own_response(HTTPConnection(scope), scope["method"], scope["path"])

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (response or self._app)(scope, receive, send_guarded)

    def _own_response(self, caller: HTTPConnection, method: str, path: str) -> Response | None:
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("expected GET or HEAD\n", 405, {"Allow": "GET, HEAD"})
        if not admits(self._access, caller):
            return self._denial(caller, path)
        if path == "/" and "token" in caller.query_params:
            return self._without_token(caller)
        return None

    def _without_token(self, caller: HTTPConnection) -> Response:
        """Redirect to the URL without the token, which a cookie replaces from then on."""
        response = RedirectResponse("./", 303)
        if presents_token(self._access, caller):
            response.set_cookie(
                self._access.cookie_name,
                self._access.cookie_value,
                max_age=_COOKIE_MAX_AGE_S,
                httponly=True,
                samesite="strict",
            )
        return response

    def _denial(self, caller: HTTPConnection, path: str) -> Response:
        if self._access.token is None:
            return PlainTextResponse("this page is only for this machine: open it as localhost\n", 403)
        response: Response
        if path == "/":
            response = HTMLResponse(self._token_form, 401, {"Content-Security-Policy": _FORM_POLICY})
        else:
            text = "the token is missing or wrong: send it as Authorization: Bearer, or open the address with ?token=\n"
            response = PlainTextResponse(text, 401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
