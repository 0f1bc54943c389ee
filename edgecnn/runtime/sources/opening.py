"""From the text after `--source` to an open source."""

from __future__ import annotations

import mimetypes
import os
import re
import sys
from pathlib import Path

import cv2

from edgecnn.core.dataset import IMAGE_SUFFIXES
from edgecnn.core.errors import SourceError
from edgecnn.runtime.sources.address import is_address, printable_address
from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.images import ImageSource, images_in
from edgecnn.runtime.sources.source import FrameSource

OPEN_TIMEOUT_S = 10.0
"""How long a network camera may take to answer."""
READ_TIMEOUT_S = 5.0
"""How long a network camera may take over one frame; FFmpeg gives the stream up after that."""

_MOTION_JPEG = cv2.VideoWriter.fourcc(*"MJPG")


def open_source(text: str) -> FrameSource:
    """Opens what `--source` names. Raises `SourceError`.

    A number or `/dev/videoN` is a camera; `http(s)://` and `rtsp://` are network cameras; a folder is all images below
    it; a file is an image or a video by its suffix. A file that is called by a number is `./0`.
    """
    _silence_opencv()
    if re.fullmatch(r"\d+|/dev/video\d+", text, re.ASCII):
        return _open_camera(text)
    if is_address(text):
        return _open_address(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise SourceError(f"expected an address with http, https or rtsp, got {printable_address(text)}")
    path = Path(text)
    if text and path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise SourceError(
            f"no such source: {text}; expected a camera number, a file, a folder, or an http or rtsp address"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], name=text)
    return _open_video(path)


def _open_camera(text: str) -> FrameSource:
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    capture = cv2.VideoCapture(int(text), backend) if text.isdigit() else cv2.VideoCapture(text, backend)
    if not capture.isOpened():
        device = f"/dev/video{text}" if text.isdigit() else text
        raise SourceError(
            f"cannot open camera {text}; check that {device} exists, is yours to read, and no other program uses it"
        )
    # Raw formats fill a USB 2 cable at 640x480; a camera that has no Motion-JPEG keeps its own format.
    capture.set(cv2.CAP_PROP_FOURCC, _MOTION_JPEG)
    return CaptureSource(capture, name=f"camera {text}" if text.isdigit() else text, live=True)


def _open_address(address: str) -> FrameSource:
    timeouts = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT_S * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(READ_TIMEOUT_S * 1000)),
    ]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
    name = printable_address(address)
    if not capture.isOpened():
        raise SourceError(
            f"no video from {name} within {OPEN_TIMEOUT_S:g} s; check address, user and password, and the network"
        )
    return CaptureSource(capture, name=name, live=True)


def _open_folder(folder: Path) -> FrameSource:
    paths = images_in(folder)
    if not paths:
        raise SourceError(f"{folder} has no images; expected files such as {folder / 'photo.jpg'}")
    return ImageSource(paths, name=str(folder), skip_unreadable=True)


def _open_video(path: Path) -> FrameSource:
    # FFmpeg would play a text file as terminal art.
    if (mimetypes.guess_type(path.name)[0] or "").startswith("text/"):
        raise SourceError(f"expected a video or an image, got the text file {path}")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise SourceError(f"cannot open {path} as a video; expected a file that FFmpeg plays, such as .mp4 or .avi")
    return CaptureSource(capture, name=str(path), live=False)


def _silence_opencv() -> None:
    # Both write to stderr what reaches us as return values anyway, and FFmpeg writes addresses with their passwords.
    # FFmpeg's level is read from the environment once, when the first capture is opened.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
