"""A network camera on 127.0.0.1: Motion-JPEG over HTTP, each picture with its number as black and white bars."""

from __future__ import annotations

import base64
import itertools
import select
import ssl
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.request import parse_http_list, parse_keqv_list

import cv2
import numpy as np

from edgecnn.core.preprocess import Image

HEIGHT_PX, WIDTH_PX = 240, 320
_BITS = 16

Fault = Literal["close", "stall", "half and close", "half", "garbage", "garbage for ever", "no boundary", "resize"]
"""What happens after the first pictures of a connection. Faults that do not end it are followed by more pictures."""

_DIGEST_CHALLENGE = 'Digest realm="camera", nonce="abc123", qop="auth", algorithm=MD5'


def numbered_picture(number: int, height: int = HEIGHT_PX, width: int = WIDTH_PX) -> Image:
    """Draw a picture whose bars, from left to right, are the bits of `number`, lowest first."""
    bits = (number >> np.arange(_BITS)) & 1
    row = np.repeat(bits * 255, width // _BITS).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number_in(picture: Image) -> int:
    """Read the number that `numbered_picture` drew, despite JPEG artifacts."""
    height, width = picture.shape[:2]
    bar = width // _BITS
    centers = picture[height // 2, bar // 2 :: bar, 0]
    return int(np.sum((centers > 127) << np.arange(_BITS)))


def numbered_jpeg(number: int, height: int = HEIGHT_PX, width: int = WIDTH_PX) -> bytes:
    return cv2.imencode(".jpg", numbered_picture(number, height, width))[1].tobytes()


def write_numbered_video(path: Path, frames: int) -> str:
    """Write a Motion-JPEG file of numbered pictures and return its path as text."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (WIDTH_PX, HEIGHT_PX))
    for number in range(frames):
        writer.write(numbered_picture(number))
    writer.release()
    return str(path)


class LoopbackCamera:
    """Owner of an HTTP server that can stall (connected, silent), die (all connections cut) and come back.

    Each connection takes the next of `faults`, which occurs after its first `before_fault` pictures; with
    `closes_after_fault` the connection ends one picture later. Besides the stream there are `/hop/N`, which redirects
    N times before the stream, and `/away`, which redirects to `away`. With a `certificate` (and its key, in one PEM
    file) the camera uses HTTPS.
    """

    def __init__(
        self,
        *,
        per_second: float = 30.0,
        user: str = "",
        password: str = "",
        digest: bool = False,
        content_type: str = "multipart/x-mixed-replace; boundary=picture",
        faults: Iterable[Fault] = (),
        before_fault: int = 2,
        closes_after_fault: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self.period_s = 1 / per_second
        self.stalled = threading.Event()
        self.dead = threading.Event()
        self.away = ""
        self.size = (HEIGHT_PX, WIDTH_PX)
        self.authorizations: list[str] = []
        self.faults_done = 0
        self._digest = digest
        self._content_type = content_type
        self._faults = iter(faults)
        self._before_fault = before_fault
        self._closes_after_fault = closes_after_fault
        self._certificate = certificate
        self._born_s = time.monotonic()
        self._user = user
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else None
        self._start(port=0)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}/stream.mjpg"

    def address_for(self, login: str) -> str:
        return self.address.replace("http://", f"http://{login}@")

    @property
    def number(self) -> int:
        """Number of the picture that the camera takes now."""
        return int((time.monotonic() - self._born_s) / self.period_s)

    def die(self) -> None:
        """Cut all connections and accept no new ones."""
        self.dead.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def come_back(self) -> None:
        """Serve again, on the same port."""
        port = self.port
        self.dead = threading.Event()
        self._start(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.dead.is_set():
            self.die()

    def _start(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        if self._certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self._certificate)
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _answer(self, client: BaseHTTPRequestHandler) -> None:
        authorization = client.headers.get("Authorization")
        if authorization is not None:
            self.authorizations.append(authorization)
        if not self._admits(authorization):
            client.send_response(401)
            client.send_header("WWW-Authenticate", _DIGEST_CHALLENGE if self._digest else 'Basic realm="camera"')
        elif client.path == "/away" or client.path.startswith("/hop/"):
            hops = int(client.path.removeprefix("/hop/")) if client.path != "/away" else 0
            target = f"/hop/{hops - 1}" if hops > 1 else "/stream.mjpg"
            client.send_response(302)
            client.send_header("Location", self.away if client.path == "/away" else target)
        else:
            client.send_response(200)
            client.send_header("Content-Type", self._content_type)
            client.end_headers()
            self._stream(client)
            return
        client.end_headers()

    def _admits(self, authorization: str | None) -> bool:
        if self._login is None:
            return True
        if not self._digest:
            return authorization == self._login
        if authorization is None or not authorization.startswith("Digest "):
            return False
        answer = parse_keqv_list(parse_http_list(authorization.removeprefix("Digest ")))
        return answer["username"] == self._user and answer["nonce"] == "abc123" and len(answer["response"]) == 32

    def _stream(self, client: BaseHTTPRequestHandler) -> None:
        dead, fault = self.dead, next(self._faults, None)
        try:
            for sent in itertools.count():
                if fault and self._closes_after_fault and sent == self._before_fault + 1:
                    return
                if dead.is_set() or (sent == self._before_fault and self._fails(client, fault, dead)):
                    return
                if not self.stalled.is_set():
                    self._send(client, numbered_jpeg(self.number, *self.size))
                time.sleep(self.period_s)
        except OSError:
            return

    def _fails(self, client: BaseHTTPRequestHandler, fault: Fault | None, dead: threading.Event) -> bool:
        """Produce the fault; return True if it ends the connection."""
        if fault is None:
            return False
        self.faults_done += 1
        noise = np.random.default_rng(self.faults_done)
        if fault in ("half", "half and close"):
            jpeg = numbered_jpeg(self.number)
            self._send(client, jpeg[: len(jpeg) // 2], content_length=len(jpeg))
        elif fault == "garbage":
            client.wfile.write(noise.bytes(50_000))
        elif fault == "garbage for ever":
            while not dead.is_set():
                client.wfile.write(noise.bytes(50_000))
                time.sleep(0.01)
        elif fault == "no boundary":
            client.wfile.write(numbered_jpeg(self.number))
        elif fault == "resize":
            self.size = (self.size[0] + 16, self.size[1] + 16)
        elif fault == "stall":
            while not dead.is_set() and not select.select([client.connection], [], [], 0.05)[0]:
                pass
        return fault in ("close", "stall", "half and close", "garbage for ever")

    @staticmethod
    def _send(client: BaseHTTPRequestHandler, jpeg: bytes, content_length: int | None = None) -> None:
        head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {content_length or len(jpeg)}\r\n\r\n"
        client.wfile.write(head.encode() + jpeg + b"\r\n")
