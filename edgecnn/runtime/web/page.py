"""The sink that shows a run in a browser."""

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
    """A sink for results and events that never waits for those who look at them. Made by `open_page`."""

    def __init__(self, board: Board, listener: socket.socket, access: Access) -> None:
        self.url = _url(page_url(listener), access)
        """Fit to be opened; where there is a token, it is in there."""
        self._board = board
        # One thread makes the pictures of all cameras, so that they never take more than a core from the classifier.
        self._encoder = ThreadPoolExecutor(1, "live page pictures")
        self._pictures = [LivePicture(self._encoder) for _ in board.cameras]
        beside: list[Callable[[], Coroutine[None, None, None]]] = [
            partial(_tick, board),
            *(picture.run for picture in self._pictures),
        ]
        self._server = WebServer(page_app(board, self._pictures, access), listener, beside)

    def __call__(self, result: Result, /) -> None:
        self._raise_defect()
        self._board.add(result)
        self._pictures[result.camera].offer(result.frame)

    def on_event(self, event: CameraEvent, /) -> None:
        self._raise_defect()
        self._board.on_event(event)

    def close(self) -> None:
        """Hangs up on all who look, and ends the page's threads, within a second."""
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
    """Serves a page about a run at `address`: `8080` for this machine alone, `:8080` for others too, port 0 for any.

    Others need `token`, and one is made up where none is given. `model` is what the page calls the model; `outputs` is
    asked for their state from another thread. A camera without a result for `quiet_after_s` counts as unwell at
    `/healthz`; None says that silence is to be expected. Raises `InputError` for an address or a token that cannot be
    used.
    """
    where = parse_address(address)
    if token is not None:
        check_token(token)
    board = Board(cameras, labels=labels, model=model, outputs=outputs, quiet_after_s=quiet_after_s)
    listener = listen(where)
    access = page_access(token, loopback_only=is_loopback_only(listener), port=listener.getsockname()[1])
    return LivePage(board, listener, access)


def _url(url: str, access: Access) -> str:
    return url if access.token is None else f"{url}?token={quote(access.token, safe='')}"


async def _tick(board: Board) -> None:
    due_s = time.monotonic()
    while True:
        # Whole seconds from the start, but not all at once that a machine has slept through.
        due_s = max(due_s + 1, time.monotonic())
        await asyncio.sleep(due_s - time.monotonic())
        board.end_second()
