"""An RTSP camera on 127.0.0.1, served by GStreamer through the system's Python if that is installed."""

from __future__ import annotations

import socket
import subprocess
from functools import cache
from types import TracebackType
from typing import Self

SYSTEM_PYTHON = "/usr/bin/python3"

_IMPORTS = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in ("videotestsrc", "jpegenc", "rtpjpegpay"))
"""

_SERVER = f"""
import sys
{_IMPORTS}
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
picture = "video/x-raw,format=I420,width=320,height=240,framerate=30/1"
factory.set_launch(f"( videotestsrc is-live=true ! {{picture}} ! jpegenc ! rtpjpegpay name=pay0 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/stream", factory)
assert server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""


@cache
def why_no_rtsp_camera() -> str:
    """Return the reason why this machine cannot run the camera, or "" if it can."""
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", _IMPORTS], capture_output=True, timeout=100, check=False)
    except OSError:
        return f"no {SYSTEM_PYTHON}"
    packages = "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
    return "" if done.returncode == 0 else f"no RTSP server: apt install python3-gi {packages}"


class RtspCamera:
    """Owner of a server process."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.come_back()

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/stream"

    def come_back(self) -> None:
        """Serve, on the same port as before."""
        command = [SYSTEM_PYTHON, "-c", _SERVER, str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def die(self) -> None:
        """Cut all connections and accept no new ones."""
        with self._process as process:
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()
