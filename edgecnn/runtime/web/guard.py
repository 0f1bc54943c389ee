"""What stands before every answer of the page: who may see it, and what browsers may do with it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgecnn.runtime.web.access import Access, admits, shows_token

_COOKIE_LASTS_S = 30 * 24 * 3600

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
    """An ASGI application around another, which hears only of callers that may see its answers."""

    def __init__(self, app: ASGIApp, access: Access, token_form: bytes) -> None:
        self._app = app
        self._access = access
        self._token_form = token_form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = self._own_answer(HTTPConnection(scope), scope["method"], scope["path"])

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (answer or self._app)(scope, receive, send_guarded)

    def _own_answer(self, caller: HTTPConnection, method: str, path: str) -> Response | None:
        if method not in ("GET", "HEAD"):
            return PlainTextResponse("expected GET or HEAD\n", 405, {"Allow": "GET, HEAD"})
        if not admits(self._access, caller):
            return self._refusal(caller, path)
        if path == "/" and "token" in caller.query_params:
            return self._without_token(caller)
        return None

    def _without_token(self, caller: HTTPConnection) -> Response:
        """On to the address without the token, which a cookie stands for from then on."""
        answer = RedirectResponse("./", 303)
        if shows_token(self._access, caller):
            answer.set_cookie(
                self._access.cookie_name,
                self._access.cookie_value,
                max_age=_COOKIE_LASTS_S,
                httponly=True,
                samesite="strict",
            )
        return answer

    def _refusal(self, caller: HTTPConnection, path: str) -> Response:
        if self._access.token is None:
            return PlainTextResponse("this page is for this machine alone: ask for it as localhost\n", 403)
        answer: Response
        if path == "/":
            answer = HTMLResponse(self._token_form, 401, {"Content-Security-Policy": _FORM_POLICY})
        else:
            text = "the token is missing or wrong: send it as Authorization: Bearer, or open the address with ?token=\n"
            answer = PlainTextResponse(text, 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
