"""Creation of a frame source from the value of `--source`."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from pathlib import Path

import cv2

from edgecnn.core.errors import SourceError
from edgecnn.core.images import IMAGE_SUFFIXES
from edgecnn.runtime.sources.address import is_address, printable_address
from edgecnn.runtime.sources.byte_stream import PipeStream
from edgecnn.runtime.sources.capture import CaptureSource
from edgecnn.runtime.sources.http_stream import open_http_stream
from edgecnn.runtime.sources.images import ImageSource, images_in
from edgecnn.runtime.sources.motion_jpeg import MotionJpegSource
from edgecnn.runtime.sources.options import SourceOptions
from edgecnn.runtime.sources.pattern import is_pattern, open_pattern
from edgecnn.runtime.sources.picamera import open_picamera
from edgecnn.runtime.sources.rpicam import open_rpicam, rpicam_program
from edgecnn.runtime.sources.source import FrameSource
from edgecnn.runtime.sources.surviving import Backoff, SurvivingSource
from edgecnn.runtime.sources.v4l_camera import open_v4l_camera

OPEN_TIMEOUT_S = 10.0
"""Longest wait for an answer from a network or CSI camera."""

STDIN = "-"

_FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""Environment variable that OpenCV reads whenever it opens something with FFmpeg; a user's value is kept."""
_LIVE = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
"""Settings for live streams. FFmpeg discards the data it probes a stream with: up to a second of it would otherwise be
delivered as the first frames, already outdated."""


def open_source(text: str, options: SourceOptions | None = None) -> FrameSource:
    """Open the source that `--source` names.

    A number or `/dev/videoN` is a V4L2 camera; `csi` or `csi:N` is a Raspberry Pi camera; `http(s)://` and `rtsp://`
    are network cameras; a FIFO and `-` (stdin) deliver Motion-JPEG; `pattern[:WIDTHxHEIGHT][@FPS]` is a test pattern; a
    folder stands for all images below it; a file is an image or a video according to its suffix. A file whose name
    looks like one of the others is written with its folder, such as `./0`.

    Args:
        text: Value of `--source`.
        options: Settings to request from the source; None for the defaults.

    Returns:
        The open source, which the caller must close.

    Raises:
        SourceError: If the source cannot be opened, or does not support a setting in `options`.
    """
    _silence_opencv()
    options = options or SourceOptions()
    if re.fullmatch(r"\d+|/dev/video\d+", text, re.ASCII):
        return open_v4l_camera(text, options)
    if match := re.fullmatch(r"csi(?::(\d+))?", text, re.ASCII):
        return _open_csi(int(match[1] or 0), options)
    if is_pattern(text):
        return open_pattern(text, options)
    options.refuse_size_and_rate(printable_address(text))
    if is_address(text):
        return _open_address(text, options)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise SourceError(f"expected an address with http, https or rtsp, got {printable_address(text)}")
    if text == STDIN:
        return _open_stdin(options)
    return _open_path(text, options)


def open_surviving(
    text: str, options: SourceOptions | None = None, *, backoff: Backoff | None = None
) -> FrameSource | SurvivingSource:
    """Open a source as `open_source` does, and reopen a live source whenever it is lost later.

    Args:
        text: Value of `--source`.
        options: Settings to request from the source; None for the defaults.
        backoff: Delays between attempts to reopen the source; None for the defaults.

    Returns:
        A `SurvivingSource` if the source is live, otherwise the source itself.

    Raises:
        SourceError: If the source cannot be opened the first time.
    """
    first = open_source(text, options)
    return SurvivingSource(lambda: open_source(text, options), first, backoff=backoff) if first.live else first


def _open_csi(camera: int, options: SourceOptions) -> FrameSource:
    program = rpicam_program()
    if program is None:
        return open_picamera(camera, options)
    return open_rpicam(program, camera, options, timeout_s=OPEN_TIMEOUT_S)


def _open_address(address: str, options: SourceOptions) -> FrameSource:
    """Open Motion-JPEG over HTTP directly, and RTSP or any other kind of video with FFmpeg."""
    if address.lower().startswith("http"):
        stream = open_http_stream(address, timeout_s=OPEN_TIMEOUT_S)
        if stream.is_motion_jpeg:
            return MotionJpegSource(stream, name=printable_address(address), stall_timeout_s=options.stall_timeout_s)
        stream.close()
    return _open_with_ffmpeg(address, options)


def _open_with_ffmpeg(address: str, options: SourceOptions) -> CaptureSource:
    parameters = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(OPEN_TIMEOUT_S * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, max(1, int(options.stall_timeout_s * 1000))),
        # FFmpeg's decoder delays its output by as many frames as it has threads.
        *(cv2.CAP_PROP_N_THREADS, 1),
    ]
    os.environ.setdefault(_FFMPEG_OPTIONS, _LIVE)
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, parameters)
    name = printable_address(address)
    if not capture.isOpened():
        raise SourceError(
            f"no video from {name} within {OPEN_TIMEOUT_S:g} s; check address, user and password, and the network"
        )
    return CaptureSource(capture, name=name, live=True, stall_timeout_s=options.stall_timeout_s)


def _open_path(text: str, options: SourceOptions) -> FrameSource:
    path = Path(text)
    if text and path.is_dir():
        return _open_folder(path)
    if text and path.is_fifo():
        return _open_fifo(path, options)
    if not path.is_file():
        raise SourceError(
            f"no such source: {text}; expected a camera number, csi, a file, a folder, - or an http or rtsp address"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], name=text)
    return _open_video(path)


def _open_fifo(path: Path, options: SourceOptions) -> MotionJpegSource:
    try:
        # Without O_NONBLOCK, open() would wait until the other end is opened.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"cannot open {path}: {error.strerror}; check that you may read it") from None
    return MotionJpegSource(PipeStream(fd), name=str(path), stall_timeout_s=options.stall_timeout_s)


def _open_stdin(options: SourceOptions) -> MotionJpegSource:
    try:
        fd = os.dup(0)
    except OSError as error:
        raise SourceError(f"cannot read stdin: {error.strerror}; pipe Motion-JPEG into it") from None
    if os.isatty(fd):
        os.close(fd)
        raise SourceError("expected Motion-JPEG on stdin, got a terminal; pipe a camera's output into it")
    from_file = stat.S_ISREG(os.fstat(fd).st_mode)
    return MotionJpegSource(
        PipeStream(fd), name="stdin", stall_timeout_s=options.stall_timeout_s, live=not from_file, ends=True
    )


def _open_folder(folder: Path) -> FrameSource:
    paths = images_in(folder)
    if not paths:
        raise SourceError(f"{folder} has no images; expected files such as {folder / 'photo.jpg'}")
    return ImageSource(paths, name=str(folder), skip_unreadable=True)


def _open_video(path: Path) -> FrameSource:
    # FFmpeg would play a text file as ANSI art.
    if (mimetypes.guess_type(path.name)[0] or "").startswith("text/"):
        raise SourceError(f"expected a video or an image, got the text file {path}")
    # The options are meant for addresses: for a file they would skip the first frames. Removing them is safe, because
    # files are opened before a run begins, when no camera is being reopened.
    if os.environ.get(_FFMPEG_OPTIONS) == _LIVE:
        del os.environ[_FFMPEG_OPTIONS]
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise SourceError(f"cannot open {path} as a video; expected a file that FFmpeg plays, such as .mp4 or .avi")
    return CaptureSource(capture, name=str(path), live=False)


def _silence_opencv() -> None:
    # Both write errors to stderr that are also reported as return values, and FFmpeg includes passwords of addresses.
    # OpenCV reads FFmpeg's log level from the environment once, when the first capture is opened.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
