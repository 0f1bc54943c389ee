"""What a page hears of a run while it goes on: server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.records import camera_result_record, hello_record, kept_event_record, status_record

RESULTS_PER_S = 10
_RETRY = b"retry: 1000\n\n"


async def server_sent_events(board: Board) -> AsyncIterator[bytes]:
    """`hello` with all there is; then every camera's newest `result`, every `event`, and `status` once a second.

    A reader that is slow gets fewer results and all events, as long as the board keeps them.
    """
    teller = _Teller(board)
    yield _RETRY + _message("hello", hello_record(board))
    while True:
        await asyncio.sleep(1 / RESULTS_PER_S)
        if news := b"".join(teller.news()):
            yield news


class _Teller:
    """What one reader has been told."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._results = [camera.newest()[0] for camera in board.cameras]
        self._seconds = board.seconds
        self._event = max((event.number for event in board.events_after(0)), default=0)

    def news(self) -> Iterator[bytes]:
        """Messages of what is new since the last call."""
        for place, camera in enumerate(self._board.cameras):
            count, latest = camera.newest()
            if latest is not None and count != self._results[place]:
                self._results[place] = count
                yield _message("result", camera_result_record(latest))
        for event in self._board.events_after(self._event):
            self._event = event.number
            yield _message("event", kept_event_record(event))
        if self._seconds != self._board.seconds:
            self._seconds = self._board.seconds
            # The comment is for proxies, the record for the page: either tells it that we are still here.
            yield b": alive\n\n" + _message("status", status_record(self._board))


def _message(name: str, record: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(record)}\n\n".encode()
