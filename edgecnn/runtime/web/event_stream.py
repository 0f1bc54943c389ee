"""Server-sent events, which keep an open page up to date."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from edgecnn.runtime.web.board import Board
from edgecnn.runtime.web.records import camera_result_record, hello_record, kept_event_record, status_record

RESULTS_PER_S = 10
"""Maximum number of results sent per camera and second."""
_RETRY = b"retry: 1000\n\n"


async def server_sent_events(board: Board) -> AsyncIterator[bytes]:
    """Stream the state of a run to one client.

    The first message is `hello` with the complete state. After it come the newest `result` of every camera, every
    `event`, and a `status` once a second. A slow client gets fewer results, but all events that the board still keeps.

    Args:
        board: State of the run.

    Yields:
        One or more encoded messages.
    """
    cursor = _Cursor(board)
    yield _RETRY + _message("hello", hello_record(board))
    while True:
        await asyncio.sleep(1 / RESULTS_PER_S)
        if messages := b"".join(cursor.new_messages()):
            yield messages


class _Cursor:
    """Position of one client in the results, events and seconds of a run."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._results = [camera.newest()[0] for camera in board.cameras]
        self._seconds = board.seconds
        self._event = max((event.number for event in board.events_after(0)), default=0)

    def new_messages(self) -> Iterator[bytes]:
        """Yield messages about everything that is new since the last call."""
        for index, camera in enumerate(self._board.cameras):
            count, latest = camera.newest()
            if latest is not None and count != self._results[index]:
                self._results[index] = count
                yield _message("result", camera_result_record(latest))
        for event in self._board.events_after(self._event):
            self._event = event.number
            yield _message("event", kept_event_record(event))
        if self._seconds != self._board.seconds:
            self._seconds = self._board.seconds
            # The comment keeps proxies from closing the connection; the record shows the page that it is alive.
            yield b": alive\n\n" + _message("status", status_record(self._board))


def _message(name: str, record: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(record)}\n\n".encode()
