"""A network camera on 127.0.0.1 that sends JPEG or H.264 over RTSP with GStreamer; every picture contains its number.

`rtsp_camera.py FPS jpeg|h264` needs the system's Python, which finds an installed GStreamer. It prints its address and
its clock in a line of JSON, and serves until stdin ends. Picture N is taken at `born_ns + N * period_ns` on the
machine's monotonic clock, then encoded and sent. A picture that could not be taken in time is skipped, together with
its number.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions must be chosen first

WIDTH_PX, HEIGHT_PX, BITS = 640, 480, 32
BAR_WIDTH_PX, BAR_HEIGHT_PX = WIDTH_PX // BITS, HEIGHT_PX // 16
"""The number is encoded as in edgecnn's test pattern: black and white bars along the lower edge, lowest bit first."""

BLACK, GRAY, WHITE = b"\x10", b"\x80", b"\xeb"
APPSRC = "appsrc name=camera is-live=true do-timestamp=true format=time max-buffers=2 leaky-type=downstream"
ENCODERS = {
    "jpeg": "jpegenc ! rtpjpegpay name=pay0",
    "h264": "openh264enc complexity=low gop-size=30 ! h264parse ! rtph264pay config-interval=1 name=pay0",
}


def main() -> None:
    fps, encoder = float(sys.argv[1]), ENCODERS[sys.argv[2]]
    Gst.init(None)
    for element in encoder.split(" ! "):
        if Gst.ElementFactory.find(element.split()[0]) is None:
            sys.exit(f"GStreamer has no {element.split()[0]}; apt install gstreamer1.0-plugins-good and -bad")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {APPSRC} ! {encoder} )")
    factory.set_shared(True)
    appsrcs: list[Any] = []
    factory.connect("media-configure", lambda _, media: appsrcs.append(configure(media, fps)))
    server.get_mount_points().add_factory("/stream", factory)
    assert server.attach(None), f"port {port} cannot be served"
    born_ns, period_ns = time.monotonic_ns(), 1e9 / fps
    threading.Thread(target=take_pictures, args=(appsrcs, born_ns, period_ns), daemon=True).start()
    clock = {"born_ns": born_ns, "period_ns": period_ns}
    print(json.dumps({"address": f"rtsp://127.0.0.1:{port}/stream", **clock}), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


def configure(media: Any, fps: float) -> Any:
    """Configure the element of a new pipeline that accepts pictures, and return it."""
    appsrc = media.get_element().get_child_by_name("camera")
    picture = f"video/x-raw,format=I420,width={WIDTH_PX},height={HEIGHT_PX},framerate={round(fps)}/1"
    appsrc.set_property("caps", Gst.Caps.from_string(picture))
    return appsrc


def take_pictures(appsrcs: list[Any], born_ns: int, period_ns: float) -> None:
    """Take each picture when it is due, and push it to the current pipeline."""
    number = 0
    while True:
        number = max(number + 1, int((time.monotonic_ns() - born_ns) / period_ns))
        time.sleep(max(0.0, (born_ns + number * period_ns - time.monotonic_ns()) / 1e9))
        if appsrcs:
            # A pipeline whose clients have left refuses the buffer, which is not an error.
            appsrcs[-1].emit("push-buffer", Gst.Buffer.new_wrapped(picture(number)))


def picture(number: int) -> bytes:
    """Return a gray picture with its number, in I420."""
    row = b"".join((WHITE if number >> bit & 1 else BLACK) * BAR_WIDTH_PX for bit in range(BITS))
    luma = GRAY * (WIDTH_PX * (HEIGHT_PX - BAR_HEIGHT_PX)) + row * BAR_HEIGHT_PX
    return luma + GRAY * (WIDTH_PX * HEIGHT_PX // 2)


if __name__ == "__main__":
    main()
