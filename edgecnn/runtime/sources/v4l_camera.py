"""USB and other V4L2 cameras: what is asked of them, and whether they do it."""

from __future__ import annotations

import math
import os
import sys

import cv2

from edgecnn.core.errors import SourceError
from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.options import SourceOptions

_FPS_TOLERANCE = 0.01
"""Relative: 29.97 will do for 30."""


def open_v4l_camera(text: str, options: SourceOptions) -> CaptureSource:
    """Opens camera number or `/dev/videoN`. Raises `SourceError`, also where it does not do what it was asked."""
    # OpenCV waits by the whole second, 10 of them unless told, and reads this once when it first waits.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(math.ceil(options.stall_timeout_s)))
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    capture = cv2.VideoCapture(int(text), backend) if text.isdigit() else cv2.VideoCapture(text, backend)
    if not capture.isOpened():
        device = f"/dev/video{text}" if text.isdigit() else text
        raise SourceError(
            f"cannot open camera {text}; check that {device} exists, is yours to read, and no other program uses it"
        )
    name = f"camera {text}" if text.isdigit() else text
    try:
        _ask(capture, options)
        _verify(capture, options, name)
    except SourceError:
        capture.release()
        raise
    return CaptureSource(capture, name=name, live=True, stall_timeout_s=options.stall_timeout_s)


def _ask(capture: cv2.VideoCapture, options: SourceOptions) -> None:
    # The format comes first: which sizes and rates there are depends on it. Raw formats fill a USB 2 cable at 640x480;
    # a camera that has no Motion-JPEG keeps its own format.
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*(options.fourcc or "MJPG")))
    if options.height is not None and options.width is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, options.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, options.height)
    if options.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, options.fps)


def _verify(capture: cv2.VideoCapture, options: SourceOptions, name: str) -> None:
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    fourcc, fps = _text_of(capture.get(cv2.CAP_PROP_FOURCC)), capture.get(cv2.CAP_PROP_FPS)
    asked, got = [], []
    if options.fourcc not in (None, fourcc):
        asked.append(f"{options.fourcc}")
        got.append(fourcc)
    if options.height is not None and (options.height, options.width) != (height, width):
        asked.append(f"{options.width}x{options.height}")
        got.append(f"{width:g}x{height:g}")
    if options.fps is not None and not math.isclose(options.fps, fps, rel_tol=_FPS_TOLERANCE):
        asked.append(f"{options.fps:g} fps")
        got.append(f"{fps:g} fps")
    if asked:
        raise SourceError(
            f"{name} was asked for {', '.join(asked)} and gives {', '.join(got)}; "
            "see what it can do with v4l2-ctl --list-formats-ext"
        )


def _text_of(fourcc: float) -> str:
    """The four characters in OpenCV's number."""
    characters = bytes(int(fourcc) >> shift & 0xFF for shift in (0, 8, 16, 24)).decode("latin-1")
    return characters if characters.isprintable() else "an unknown format"
