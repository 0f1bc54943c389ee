"""USB and other V4L2 cameras: request settings and verify that the camera applied them."""

from __future__ import annotations

import math
import os
import sys

import cv2

from edgecnn.core.errors import SourceError
from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.options import SourceOptions

_FPS_TOLERANCE = 0.01
"""Relative tolerance: 29.97 is accepted for 30."""


def open_v4l_camera(text: str, options: SourceOptions) -> CaptureSource:
    """Open a V4L2 camera with the requested settings.

    Args:
        text: Number of the camera, or `/dev/videoN`.
        options: Settings to request, and the stall timeout.

    Returns:
        The open camera.

    Raises:
        SourceError: If the camera cannot be opened, or does not apply a setting.
    """
    # OpenCV's timeout is in whole seconds, 10 by default. The variable is read once, at the first wait.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(options.stall_timeout_s)))
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    capture = cv2.VideoCapture(int(text), backend) if text.isdigit() else cv2.VideoCapture(text, backend)
    if not capture.isOpened():
        device = f"/dev/video{text}" if text.isdigit() else text
        raise SourceError(
            f"cannot open camera {text}; check that {device} exists and may be read, and that no other program uses it"
        )
    name = f"camera {text}" if text.isdigit() else text
    try:
        _request(capture, options)
        _verify(capture, options, name)
    except SourceError:
        capture.release()
        raise
    return CaptureSource(capture, name=name, live=True, stall_timeout_s=options.stall_timeout_s)


def _request(capture: cv2.VideoCapture, options: SourceOptions) -> None:
    # The pixel format must be set first, because the available sizes and rates depend on it. Raw formats saturate USB 2
    # at 640x480; a camera without Motion-JPEG keeps its own format.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*(options.fourcc or "MJPG")))
    if options.height is not None and options.width is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.height)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)


def _verify(capture: cv2.VideoCapture, options: SourceOptions, name: str) -> None:
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    fourcc, fps = _text_of(capture.get(cv2.CAP_PROP_FOURCC)), capture.get(cv2.CAP_PROP_FPS)
    requested, got = [], []
    if options.fourcc not in (None, fourcc):
        requested.append(f"{options.fourcc}")
        got.append(fourcc)
    if options.height is not None and (options.height, options.width) != (height, width):
        requested.append(f"{options.width}x{options.height}")
        got.append(f"{width:g}x{height:g}")
    if options.fps is not None and not math.isclose(options.fps, fps, rel_tol=_FPS_TOLERANCE):
        requested.append(f"{options.fps:g} fps")
        got.append(f"{fps:g} fps")
    if requested:
        raise SourceError(
            f"requested {', '.join(requested)} from {name}, got {', '.join(got)}; "
            "list its supported modes with v4l2-ctl --list-formats-ext"
        )


def _text_of(fourcc: float) -> str:
    """Decode OpenCV's number into the four characters of a pixel format."""
    characters = bytes(int(fourcc) >> shift & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1")
    return characters if characters.isprintable() else "an unknown format"
