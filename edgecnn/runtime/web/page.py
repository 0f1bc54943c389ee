"""Sink that shows a run in a browser."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

from edgecnn.core.labels import LabelMap
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import CameraEvent, Result
from edgecnn.runtime.sources import FrameSource
from edgecnn.runtime.web.access import Access, check_token, page_access
from edgecnn.runtime.web.address import is_loopback_only, listen, page_url, parse_address
from edgecnn.runtime.web.app import page_app
from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.health import QUIET_AFTER_S
from edgecnn.runtime.web.pictures import LivePicture
from edgecnn.runtime.web.server import WebServer


class LivePage(Closeable):
    """Sink for results and events that never waits for viewers. Created by `open_page`."""

    def __init__(self, board: Board, listener: socket.socket, access: Access) -> None:
        self.url = _url(page_url(listener), access)
        """URL to open, including the token if there is one."""
        self._board = board
        # A single thread encodes the pictures of all cameras, so that the classifier loses one core at most.
        self._encoder = ThreadPoolExecutor(1, "live page pictures")
        self._pictures = [LivePicture(self._encoder) for _ in board.cameras]
        background: list[Callable[[], Coroutine[None, None, None]]] = [
            partial(_tick, board),
            *(picture.run for picture in self._pictures),
        ]
        self._server = WebServer(page_app(board, self._pictures, access), listener, background)

    def __call__(self, result: Result, /) -> None:
        """Show a result."""
        self._raise_defect()
        self._board.add(result)
        self._pictures[result.camera].offer(result.frame)

    def on_event(self, event: CameraEvent, /) -> None:
        """Show an event."""
        self._raise_defect()
        self._board.on_event(event)

    def close(self) -> None:
        """Disconnect all viewers and end the threads of the page, within a second."""
        self._server.close()
        self._encoder.shutdown()

    def _raise_defect(self) -> None:
        if self._server.failure is not None:
            raise self._server.failure


def open_page(
    address: str,
    *,
    token: str | None,
    cameras: Sequence[FrameSource],
    labels: LabelMap,
    model: str,
    outputs: Callable[[], Sequence[OutputStatus]],
    quiet_after_s: float | None = QUIET_AFTER_S,
) -> LivePage:
    """Serve a page about a run.

    Args:
        address: `8080` for this machine only, `:8080` for other machines too; port 0 for any free port.
        token: Token that other machines need; with None, one is generated if they can reach the page.
        cameras: Sources of the results.
        labels: Labels of the model.
        model: Name of the model.
        outputs: Function that returns the status of all outputs; it is called from another thread.
        quiet_after_s: Time without a result after which a camera counts as unhealthy at `/healthz`; None if silence is
            expected.

    Returns:
        The running page.

    Raises:
        InputError: If the address or the token cannot be used.
    """
    page_address = parse_address(address)
    if token is not None:
        check_token(token)
    board = Board(cameras, labels=labels, model=model, outputs=outputs, quiet_after_s=quiet_after_s)
    listener = listen(page_address)
    access = page_access(token, loopback_only=is_loopback_only(listener), port=listener.getsockname()[1])
    return LivePage(board, listener, access)


def _url(url: str, access: Access) -> str:
    return url if access.token is None else f"{url}?token={quote(access.token, safe='')}"


async def _tick(board: Board) -> None:
    due_s = time.monotonic()
    while True:
        # Tick at whole seconds from the start, but do not make up for the seconds that the machine was suspended.
        due_s = max(due_s + 1, time.monotonic())
        await asyncio.sleep(due_s - time.monotonic())
        board.end_second()
