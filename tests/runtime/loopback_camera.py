"""A network camera on 127.0.0.1: Motion-JPEG over HTTP, every picture carrying its number as black and white bars."""

from __future__ import annotations

import base64
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from edgecnn.core.preprocess import Image

HEIGHT_PX, WIDTH_PX = 240, 320
_BITS = 16
_BAR_PX = WIDTH_PX // _BITS


def numbered_picture(number: int) -> Image:
    """A picture whose bars, left to right, are the bits of `number`, the lowest first."""
    bits = (number >> np.arange(_BITS)) & 1
    row = np.repeat(bits * 255, _BAR_PX).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (HEIGHT_PX, WIDTH_PX, 3)))


def number_in(picture: Image) -> int:
    """The number that `numbered_picture` put there, whatever JPEG did to it."""
    centres = picture[HEIGHT_PX // 2, _BAR_PX // 2 :: _BAR_PX, 0]
    return int(np.sum((centres > 127) << np.arange(_BITS)))


def write_numbered_video(path: Path, frames: int) -> str:
    """A Motion-JPEG file of numbered pictures; returns its path as text."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (WIDTH_PX, HEIGHT_PX))
    for number in range(frames):
        writer.write(numbered_picture(number))
    writer.release()
    return str(path)


class LoopbackCamera:
    """Owns an HTTP server; can stall (connected, silent) and die (every connection cut) like a real camera."""

    def __init__(self, *, per_second: float = 30.0, user: str = "", password: str = "") -> None:
        self.period_s = 1 / per_second
        self.stalled = threading.Event()
        self.dead = threading.Event()
        self._born_s = time.monotonic()
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/stream.mjpg"

    @property
    def number(self) -> int:
        """Of the picture that the camera takes now."""
        return int((time.monotonic() - self._born_s) / self.period_s)

    def die(self) -> None:
        """Cuts all connections and takes no new one."""
        self.dead.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.dead.is_set():
            self.die()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera._login not in (None, self.headers.get("Authorization")):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
                self.end_headers()
                camera._stream(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _stream(self, client: BaseHTTPRequestHandler) -> None:
        while not self.dead.is_set():
            if not self.stalled.is_set():
                jpeg = cv2.imencode(".jpg", numbered_picture(self.number))[1].tobytes()
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    client.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    return
            time.sleep(self.period_s)
