"""A network camera on 127.0.0.1 that sends Motion-JPEG over HTTP; every picture contains its number.

`mjpeg_camera.py FPS` prints its address and its clock in a line of JSON, and serves one client at a time until stdin
ends. Picture N is taken at `born_ns + N * period_ns` on the machine's monotonic clock, then encoded and sent. A picture
that nobody fetches in time is skipped, together with its number.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2

from edgecnn.core.errors import SourceLost
from edgecnn.core.preprocess import Image
from edgecnn.runtime.sources import FrameSource, open_source

BOUNDARY = "picture"


def main() -> None:
    fps = float(sys.argv[1])
    with open_source(f"pattern:640x480@{fps:g}") as pictures:
        clock = {"born_ns": birth_ns(pictures, 1e9 / fps), "period_ns": 1e9 / fps}
        with HTTPServer(("127.0.0.1", 0), handler(pictures)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(json.dumps({"address": f"http://127.0.0.1:{server.server_port}/stream.mjpg", **clock}), flush=True)
            sys.stdin.read()
            pictures.close()
            server.shutdown()


def birth_ns(pictures: FrameSource, period_ns: float) -> int:
    """Estimate when picture 0 was due: the thread that takes a picture wakes a little after its due time."""
    first = [pictures.read() for _ in range(10)]
    return min(frame.captured_ns - round(frame.number * period_ns) for frame in first if frame is not None)


def handler(pictures: FrameSource) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers a request with pictures until the client leaves."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            self.end_headers()
            # Raised when the client leaves or the camera is closed.
            with suppress(OSError, SourceLost):
                while (frame := pictures.read()) is not None:
                    self.wfile.write(part(frame.pixels))

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def part(pixels: Image) -> bytes:
    """Encode a picture (uint8 HWC RGB) as a part of a multipart response."""
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"


if __name__ == "__main__":
    main()
