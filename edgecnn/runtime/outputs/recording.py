"""Video of a run with the answers drawn in: what somebody in front of the screen would have seen."""

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
"""Left free on the disk: without the index, which is written last, an .mp4 does not play."""

_LEAST_PX = 64
"""On a side. FFmpeg's Motion-JPEG writes beyond its memory in pictures of a few pixels."""

_MOST_FPS = 240


class Recording:
    """An output that owns a video file for each camera. Made by `open_recording`."""

    def __init__(self, path: Path, videos: Sequence[_Video]) -> None:
        self.name = f"recording {path}"
        self._videos = videos

    def wants(self, result: Result) -> Want:
        return "picture"

    def take(self, item: Result | CameraEvent) -> None:
        """Records a result; an event shows in the results. Raises `WriteError`."""
        if isinstance(item, Result):
            self._videos[item.camera].add(item)

    def close(self) -> None:
        """Ends the files, so that they play."""
        for video in self._videos:
            video.close()


def open_recording(path: Path, *, cameras: Sequence[FrameSource], fps: float = 25.0) -> Recording:
    """Will record the results of `cameras`: of one into `path`, of several into NAME-1.avi, NAME-2.avi and so on.

    Motion-JPEG in an .avi, MPEG-4 in an .mp4 or .mkv; a run that is killed leaves an .mp4 that does not play. Raises
    `InputError` for another suffix, a file that exists, and one that cannot be written.
    """
    if path.suffix.lower() not in _CODECS:
        raise InputError(f"expected a recording called {', '.join(f'*{suffix}' for suffix in _CODECS)}, got {path}")
    if not 0 < fps <= _MOST_FPS:
        raise InputError(f"expected a recording of up to {_MOST_FPS} frames a second, got {fps:g}; give such as 25")
    numbered = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(1, len(cameras) + 1)]
    paths = numbered if len(cameras) > 1 else [path]
    for each in paths:
        _check_can_be_written(each, fps)
    # Of a file every result is one frame of the video; a camera's video keeps the camera's time.
    return Recording(path, [_Video(each, fps, live=camera.live) for camera, each in zip(cameras, paths, strict=True)])


class _Video:
    """Owns a video file, from the first picture on, which gives it its size."""

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
        repeats, shown = self._place(result.frame.captured_ns)
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

    def _place(self, at_ns: int) -> tuple[int, bool]:
        if not self._live:
            return 0, True
        self._time, repeats, shown = step_video(self._time, at_ns, self._fps)
        return repeats, shown

    def _opened(self, pixels: Image) -> cv2.VideoWriter:
        # Codecs halve the size of color, so they want even sides.
        height, width = (max(_LEAST_PX, side - side % 2) for side in pixels.shape[:2])
        writer = _video_writer(self._path, self._fps, width, height)
        if not writer.isOpened():
            raise WriteError(f"cannot write {self._path}: OpenCV makes no video of {width}x{height} there")
        self._canvas = np.empty((height, width, 3), np.uint8)
        return writer

    def _check_space(self) -> None:
        try:
            free_bytes = shutil.disk_usage(self._path.parent if self._writer is None else self._path).free
        except OSError as error:
            raise WriteError(
                f"cannot write {self._path}: {error.strerror}; check that its folder and its disk are there"
            ) from None
        if free_bytes < _RESERVE_BYTES:
            raise WriteError(
                f"cannot write {self._path}: the disk has less than {_RESERVE_BYTES // 10**6} MB left; free some space"
            )

    def _write(self, writer: cv2.VideoWriter) -> None:
        # OpenCV 5 says whether it has written; 4 returns nothing at all.
        if writer.write(self._canvas) is False:
            raise WriteError(f"cannot write {self._path}: it takes no more pictures; record into another file")


def fit_into(canvas: Image, pixels: Image) -> None:
    """Draws `pixels` (uint8 HWC RGB) into `canvas` (uint8 HWC BGR): as they are, or whole with black bars."""
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
        raise InputError(f"expected a new file to record into, {path} is there already; choose another name")
    writer = _video_writer(path, fps, _LEAST_PX, _LEAST_PX)
    opened = writer.isOpened()
    writer.release()
    path.unlink(missing_ok=True)
    if not opened:
        raise InputError(f"cannot record into {path}; check that its folder is there and yours to write")


def _video_writer(path: Path, fps: float, width: int, height: int) -> cv2.VideoWriter:
    # Absolute, or FFmpeg would take what is before a colon for a protocol.
    codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    return cv2.VideoWriter(str(path.absolute()), codec, fps, (width, height))
