"""The Raspberry Pi's CSI camera through picamera2, for systems without the rpicam programs."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import time
from typing import Any

from edgecnn.core.errors import SourceError, SourceLost
from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sources.capture import check_picture
from edgecnn.runtime.sources.guard import ReleaseGuard
from edgecnn.runtime.sources.options import SourceOptions

_DEFAULT_HEIGHT_WIDTH = (480, 640)


class PicameraSource(Closeable):
    """Owner of a started `Picamera2`."""

    live = True
    dropped = 0
    bad_pictures = 0
    unreadable: tuple[str, ...] = ()

    def __init__(self, camera: Any, *, name: str, stall_timeout_s: float) -> None:
        self.name = name
        self._camera = camera
        self._stall_timeout_s = stall_timeout_s
        self._number = 0
        self._guard = ReleaseGuard(self._release)

    def read(self, reuse: Image | None = None) -> Frame | None:
        """Return the next picture; `reuse` is ignored.

        Raises:
            SourceLost: If no picture arrives within the stall timeout, or the source was closed.
            SourceError: If the picture is not a color picture.
        """
        with self._guard:
            if self._guard.closed.is_set():
                raise SourceLost(f"{self.name} was closed")
            try:
                pixels = self._camera.capture_array("main", wait=False).get_result(timeout=self._stall_timeout_s)
            except (TimeoutError, concurrent.futures.TimeoutError):
                stall = f"{self.name} sent no frame for {self._stall_timeout_s:g} s"
                raise SourceLost(f"{stall}; check the camera's cable") from None
            check_picture(pixels, self.name)
            frame = Frame(pixels, self.name, self._number, time.time(), time.monotonic_ns(), 0.0)
            self._number += 1
            return frame

    def close(self) -> None:
        """Stop the camera; if another thread is in `read`, that thread stops it when the read ends."""
        self._guard.close()

    def _release(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._camera.stop()
        self._camera.close()


def open_picamera(camera: int, options: SourceOptions) -> PicameraSource:
    """Start a CSI camera with picamera2.

    Args:
        camera: Index of the camera.
        options: Size and frame rate to request; 640x480 if there is no size.

    Returns:
        The running camera.

    Raises:
        SourceError: If picamera2 cannot be imported, the camera cannot be opened, or `options` request a pixel format.
    """
    name = f"csi:{camera}"
    options.refuse_fourcc(name)
    try:
        module = importlib.import_module("picamera2")
    except Exception as error:  # noqa: BLE001 - a build for another numpy raises ValueError, AttributeError, ...
        reason = "" if isinstance(error, ModuleNotFoundError) else f" (picamera2 is installed but fails: {error})"
        raise SourceError(
            f"{name} needs rpicam-vid, which is not on PATH{reason}; install it with sudo apt install rpicam-apps-lite"
        ) from None
    height, width = (options.height, options.width) if options.height is not None else _DEFAULT_HEIGHT_WIDTH
    controls = {} if options.fps is None else {"FrameRate": options.fps}
    opened: Any = None
    try:
        opened = module.Picamera2(camera)
        # libcamera names formats by the byte order of a little-endian word: BGR888 is R, G, B in memory.
        main = {"size": (width, height), "format": "BGR888"}
        opened.configure(opened.create_video_configuration(main=main, controls=controls))
        opened.start()
    except Exception as error:  # noqa: BLE001 - IndexError, RuntimeError and others, whose text is worth showing
        if opened is not None:
            opened.close()
        raise SourceError(f"cannot open {name}: {error}; check cable and camera") from None
    return PicameraSource(opened, name=name, stall_timeout_s=options.stall_timeout_s)
