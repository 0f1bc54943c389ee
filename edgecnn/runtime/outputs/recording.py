"""Video of a run with the results drawn into it, as a viewer in front of the screen would see it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.preprocess import Image
from edgecnn.runtime.display import draw_caption
from edgecnn.runtime.outputs.output import Want
from edgecnn.runtime.outputs.video_time import VideoTime, step_video
from edgecnn.runtime.sinks import CameraEvent, FrameRate, Result
from edgecnn.runtime.sources import FrameSource

_CODECS = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "mp4v"}

_RESERVE_BYTES = 32_000_000
"""Space to leave free on the disk: an .mp4 does not play without its index, which is written last."""

_MIN_SIDE_PX = 64
"""Minimum side length. FFmpeg's Motion-JPEG encoder writes out of bounds for pictures of a few pixels."""

_MAX_FPS = 240


class Recording:
    """Output that owns a video file for each camera. Created by `open_recording`."""

    def __init__(self, path: Path, videos: Sequence[_Video]) -> None:
        self.name = f"recording {path}"
        self._videos = videos

    def wants(self, result: Result) -> Want:
        """Return "picture": every picture is recorded."""
        return "picture"

    def take(self, item: Result | CameraEvent) -> None:
        """Record a result. Events are ignored, because they are visible in the results.

        Raises:
            WriteError: If the result cannot be recorded.
        """
        if isinstance(item, Result):
            self._videos[item.camera].add(item)

    def close(self) -> None:
        """Finish the files, so that they play."""
        for video in self._videos:
            video.close()


def open_recording(path: Path, *, cameras: Sequence[FrameSource], fps: float = 25.0) -> Recording:
    """Prepare the recording of a run: Motion-JPEG in an .avi, MPEG-4 in an .mp4 or .mkv.

    A run that is killed leaves an .mp4 that does not play.

    Args:
        path: Video file. With several cameras they are NAME-1.avi, NAME-2.avi and so on.
        cameras: Sources of the results.
        fps: Frames per second of the video.

    Returns:
        The output; each file is created with its first picture.

    Raises:
        InputError: If the suffix is unknown, a file exists already, or one cannot be written.
    """
    if path.suffix.lower() not in _CODECS:
        raise InputError(f"expected a recording named {', '.join(f'*{suffix}' for suffix in _CODECS)}, got {path}")
    if not 0 < fps <= _MAX_FPS:
        raise InputError(f"expected a recording of up to {_MAX_FPS} frames per second, got {fps:g}; use for example 25")
    numbered = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(cameras) + 1)]
    paths = numbered if len(cameras) > 1 else [path]
    for video_path in paths:
        _check_can_be_written(video_path, fps)
    # Every result of a file becomes one frame of the video; the video of a camera keeps the camera's time.
    videos = [_Video(video_path, fps, live=camera.live) for camera, video_path in zip(cameras, paths, strict=True)]
    return Recording(path, videos)


class _Video:
    """Owner of a video file, which is created with the first picture and has its size."""

    def __init__(self, path: Path, fps: float, *, live: bool) -> None:
        self._path = path
        self._fps = fps
        self._live = live
        self._writer: cv2.VideoWriter | None = None
        self._canvas: Image = np.empty((0, 0, 3), np.uint8)
        self._time: VideoTime | None = None
        self._rate = FrameRate()

    def add(self, result: Result) -> None:
        per_second = self._rate.tick()
        self._check_space()
        repeats, shown = self._schedule(result.frame.captured_ns)
        if self._writer is None:
            self._writer = self._opened(result.frame.pixels)
        for _ in range(repeats):
            self._write(self._writer)
        if shown:
            fit_into(self._canvas, result.frame.pixels)
            draw_caption(self._canvas, result, per_second)
            self._write(self._writer)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def _schedule(self, at_ns: int) -> tuple[int, bool]:
        if not self._live:
            return 0, True
        self._time, repeats, shown = step_video(self._time, at_ns, self._fps)
        return repeats, shown

    def _opened(self, pixels: Image) -> cv2.VideoWriter:
        # Codecs halve the resolution of color, which requires even sides.
        height, width = (max(_MIN_SIDE_PX, side - side % 2) for side in pixels.shape[:2])
        writer = _video_writer(self._path, self._fps, width, height)
        if not writer.isOpened():
            raise WriteError(f"cannot write {self._path}: OpenCV cannot create a video of {width}x{height} there")
        self._canvas = np.empty((height, width, 3), np.uint8)
        return writer

    def _check_space(self) -> None:
        try:
            free_bytes = shutil.disk_usage(self._path.parent if self._writer is None else self._path).free
        except OSError as error:
            raise WriteError(
                f"cannot write {self._path}: {error.strerror}; check that its folder and its disk exist"
            ) from None
        if free_bytes < _RESERVE_BYTES:
            raise WriteError(
                f"cannot write {self._path}: the disk has less than {_RESERVE_BYTES // 10**6} MB left; free some space"
            )

    def _write(self, writer: cv2.VideoWriter) -> None:
        # OpenCV 5 returns whether the frame was written; OpenCV 4 returns None.
        if writer.write(self._canvas) is False:
            raise WriteError(f"cannot write {self._path}: the file accepts no more pictures; record to another file")


def fit_into(canvas: Image, pixels: Image) -> None:
    """Draw a picture into a canvas, scaled and with black bars unless the sizes are equal within a pixel.

    Args:
        canvas: uint8 [height, width, 3], BGR; it is overwritten.
        pixels: uint8 [height, width, 3], RGB, in any size.
    """
    height, width = canvas.shape[:2]
    if (pixels.shape[0] - height, pixels.shape[1] - width) in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cv2.cvtColor(pixels[:height, :width], cv2.COLOR_RGB2BGR, dst=canvas)
        return
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    inner_height, inner_width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    canvas[:] = 0
    scaled = cv2.resize(pixels, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
    canvas[top : top + inner_height, left : left + inner_width] = cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR)


def _check_can_be_written(path: Path, fps: float) -> None:
    if path.exists():
        raise InputError(f"cannot record into {path}: it exists already; choose another name")
    writer = _video_writer(path, fps, _MIN_SIDE_PX, _MIN_SIDE_PX)
    opened = writer.isOpened()
    writer.release()
    path.unlink(missing_ok=True)
    if not opened:
        raise InputError(f"cannot record into {path}; check that its folder exists and may be written")


def _video_writer(path: Path, fps: float, width: int, height: int) -> cv2.VideoWriter:
    # The path must be absolute: FFmpeg interprets text before a colon as a protocol.
    codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    return cv2.VideoWriter(str(path.absolute()), codec, fps, (width, height))
