"""URLs of the page and their responses."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from importlib.resources import files

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from edgecnn.runtime.web.access import Access
from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.event_stream import server_sent_events
from edgecnn.runtime.web.guard import Guard
from edgecnn.runtime.web.health import health_record
from edgecnn.runtime.web.metrics import metrics_registry
from edgecnn.runtime.web.pictures import LivePicture, Picture

SNAPSHOT_WAIT_S = 2.0
"""Longest wait for the picture of a snapshot."""

_BOUNDARY = "edgecnn-picture"
_PAGE, _TOKEN_FORM = "page.html", "token.html"
_MAY_CHANGE = {"Cache-Control": "no-cache"}


def page_app(board: Board, pictures: Sequence[LivePicture], access: Access) -> ASGIApp:
    """Build the ASGI application of the page.

    Args:
        board: State of the run.
        pictures: Pictures of each camera.
        access: Access rules.

    Returns:
        The application, including access control.
    """
    static = _static_files()
    routes = [
        Route("/", partial(_static, static, _PAGE)),
        Route("/stream/{camera:int}.mjpg", partial(_stream, pictures)),
        Route("/snapshot.jpg", partial(_snapshot, pictures)),
        Route("/events", partial(_events, board)),
        Route("/metrics", partial(_metrics, metrics_registry(board))),
        Route("/healthz", partial(_health, board)),
        *(Route(f"/{name}", partial(_static, static, name)) for name in static if name not in (_PAGE, _TOKEN_FORM)),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _one_line, 404: _not_found})
    return Guard(app, access, static[_TOKEN_FORM])


async def _static(static: Mapping[str, bytes], name: str, request: Request) -> Response:
    return Response(static[name], media_type=mimetypes.guess_type(name)[0], headers=_MAY_CHANGE)


async def _stream(pictures: Sequence[LivePicture], request: Request) -> Response:
    camera = _camera(pictures, str(request.path_params["camera"]))
    return _endless(_parts(camera), f"multipart/x-mixed-replace; boundary={_BOUNDARY}", request)


async def _snapshot(pictures: Sequence[LivePicture], request: Request) -> Response:
    """Respond with the next picture.

    A client that follows the pictures sends the `X-Picture` of the last one as `after`. If there is no new picture, it
    gets status 204 instead of an error.
    """
    camera = _camera(pictures, request.query_params.get("camera", "0"))
    shown = request.query_params.get("after")
    picture = await camera.next(SNAPSHOT_WAIT_S, shown=int(shown) if shown and shown.isdecimal() else None)
    if picture is not None:
        return Response(picture.jpeg, media_type="image/jpeg", headers=_picture_headers(picture))
    if shown is not None:
        return Response(status_code=204)
    return PlainTextResponse(f"no picture from the camera for {SNAPSHOT_WAIT_S:g} s; try again\n", 503)


async def _events(board: Board, request: Request) -> Response:
    return _endless(server_sent_events(board), "text/event-stream", request)


async def _metrics(registry: CollectorRegistry, request: Request) -> Response:
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _health(board: Board, request: Request) -> Response:
    record = health_record(board)
    status = 200 if record["status"] == "ok" else 503
    return Response(json.dumps(record) + "\n", status, media_type="application/json")


async def _not_found(request: Request, error: Exception) -> Response:
    reason = error.detail if isinstance(error, HTTPException) and error.detail != "Not Found" else "not found"
    return PlainTextResponse(f"{reason}; the page is at /\n", 404)


async def _one_line(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for HTTPException only
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers=error.headers)


def _endless(content: AsyncIterator[bytes], media_type: str, request: Request) -> Response:
    # Proxies must not buffer a response that never ends.
    headers = {"X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(media_type=media_type, headers=headers)
    return StreamingResponse(content, media_type=media_type, headers=headers)


def _camera(pictures: Sequence[LivePicture], number: str) -> LivePicture:
    if number.isdecimal() and int(number) < len(pictures):
        return pictures[int(number)]
    raise HTTPException(404, f"expected a camera from 0 to {len(pictures) - 1}")


async def _parts(camera: LivePicture) -> AsyncIterator[bytes]:
    # The boundary follows each picture immediately, because some clients show a picture only after seeing its end.
    yield f"--{_BOUNDARY}\r\n".encode()
    async with aclosing(camera.stream()) as pictures:
        async for picture in pictures:
            headers = {
                "Content-Type": "image/jpeg",
                "Content-Length": str(len(picture.jpeg)),
                **_picture_headers(picture),
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            yield head.encode() + b"\r\n" + picture.jpeg + f"\r\n--{_BOUNDARY}\r\n".encode()


def _picture_headers(picture: Picture) -> dict[str, str]:
    return {
        "X-Picture": str(picture.serial),
        "X-Frame-Number": str(picture.frame),
        "X-Age-Ms": f"{picture.age_ms:.1f}",
    }


def _static_files() -> dict[str, bytes]:
    """Return the static files of the page by name."""
    folder = files("edgecnn.runtime.web") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
