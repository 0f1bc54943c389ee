"""HTTP server in a thread of its own, with limits that keep clients from exhausting it."""

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

MAX_CONNECTIONS = 64
"""Number of connections above which requests get status 503; above twice as many, connections are dropped."""

CLOSE_TIMEOUT_S = 1.0
"""Longest time that `close` waits for the thread."""

_REQUEST_TIMEOUT_S = 10.0
"""Time after which a connection without a complete request is dropped."""
_STUCK_AFTER_S = 15.0
"""Time after which a client that does not read its response is dropped."""
_MAX_HEAD_BYTES = 16 * 1024
_POLL_S = 0.02


class WebServer(Closeable):
    """Owner of a listening socket, and of the thread whose event loop answers the requests."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, background: Sequence[Callable[[], Coroutine[None, None, None]]]
    ) -> None:
        """Start the server; the `background` coroutines run in its event loop and are canceled at its end."""
        self.failure: BaseException | None = None
        """Defect that ended the server."""
        self._background = background
        self._listener = listener
        self._server = Server(_config(app))
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self) -> None:
        """Close all connections immediately and end the thread; may be called twice."""
        if self._thread.is_alive() and self._loop is not None and self._ending is not None:
            # A defect may have just closed the loop.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - any defect is reported to the owner
            self.failure = error
        finally:
            self._listener.close()
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        coroutines = [self._ending.wait(), *(function() for function in self._background)]
        others = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
        self._started.set()
        # A task that ends without being asked to has failed.
        ended, _ = await asyncio.wait([serving, *others], return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        await self._stop(serving)
        for task in ended:
            task.result()

    async def _stop(self, serving: asyncio.Task[None]) -> None:
        """End the server without waiting for clients, which may never read their responses."""
        self._server.should_exit = True
        while not serving.done():
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait([serving], timeout=_POLL_S)


class _Connection(H11Protocol):
    """Connection of one client; dropped if it sends no request, does not read, or exceeds twice the limit."""

    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(_REQUEST_TIMEOUT_S, self._drop_without_request)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._cancel_stuck()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(_STUCK_AFTER_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel_stuck()

    def _drop_without_request(self) -> None:
        if self.cycle is None:
            self.transport.abort()

    def _cancel_stuck(self) -> None:
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
        # Only defects are logged; an access log would contain tokens.
        log_config=None,
        log_level="error",
        access_log=False,
        # Access control needs the address of the peer itself; a forwarding header could claim any other.
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
