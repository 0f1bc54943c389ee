"""An HTTP server in a thread of its own, which no caller can wear out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgecnn.runtime.closeable import Closeable

MOST_CONNECTIONS = 64
"""Beyond these, a caller is told 503; beyond twice as many, nothing."""

CLOSE_TIMEOUT_S = 1.0

_ASK_WITHIN_S = 10.0
_STUCK_AFTER_S = 15.0
_MOST_HEAD_BYTES = 16 * 1024
_POLL_S = 0.02


class WebServer(Closeable):
    """Owns a listening socket, and the thread whose event loop answers what comes there."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, beside: Sequence[Callable[[], Coroutine[None, None, None]]]
    ) -> None:
        """`beside` runs in the event loop beside the server, and is canceled at its end."""
        self.failure: BaseException | None = None
        """A defect that has ended the server."""
        self._beside = beside
        self._listener = listener
        self._server = Server(_config(app))
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Ends all connections at once, and the thread; may be called twice."""
        if self._thread.is_alive() and self._loop is not None and self._ending is not None:
            # A defect may have closed the loop just now.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the owner has to know
            self.failure = error
        finally:
            self._listener.close()
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        others = [asyncio.ensure_future(each) for each in (self._ending.wait(), *(each() for each in self._beside))]
        self._started.set()
        # Any that ends before it is told to has failed.
        ended, _ = await asyncio.wait([serving, *others], return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        await self._hang_up(serving)
        for task in ended:
            task.result()

    async def _hang_up(self, serving: asyncio.Task[None]) -> None:
        """Ends the server without waiting for callers, who may well never read what is sent to them."""
        self._server.should_exit = True
        while not serving.done():
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait([serving], timeout=_POLL_S)


class _Connection(H11Protocol):
    """One caller; left when it does not ask, does not read, or is one too many even for a refusal."""

    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_ASK_WITHIN_S, self._leave_unasked)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget_stuck()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(_STUCK_AFTER_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_stuck()

    def _leave_unasked(self) -> None:
        if self.cycle is None:
            self.transport.abort()

    def _forget_stuck(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


def _config(app: ASGIApp) -> Config:
    return Config(
        app,
        loop="asyncio",
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        # What is logged is defects; an access log would have tokens in it.
        log_config=None,
        log_level="error",
        access_log=False,
        # The peer's own address counts, whatever it says that it is sent for.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
    )
