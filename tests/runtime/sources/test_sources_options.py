from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import InputError, SourceError, SourceLost
from edgecnn.runtime.sources import SourceOptions, open_source


class FakeCapture:
    """A `cv2.VideoCapture` of a V4L2 camera whose settings in `fixed` cannot be changed."""

    fixed: ClassVar[dict[int, float]] = {}
    frames: ClassVar[list[Any]] = []
    released: ClassVar[int] = 0

    def __init__(self, *opening: object) -> None:
        self._settings = dict(self.fixed)
        self._frames = iter(self.frames)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, setting: int, value: float) -> bool:
        self._settings.setdefault(setting, value)
        return setting not in self.fixed

    def get(self, setting: int) -> float:
        return self._settings.get(setting, 0.0)

    def grab(self) -> bool:
        self._frame = next(self._frames, None)
        return self._frame is not None

    def retrieve(self, _: object) -> tuple[bool, Any]:
        return isinstance(self._frame, np.ndarray), self._frame

    def release(self) -> None:
        FakeCapture.released += 1


@pytest.fixture
def v4l(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "fixed", {})
    monkeypatch.setattr(FakeCapture, "frames", [])
    monkeypatch.setattr(FakeCapture, "released", 0)
    monkeypatch.setenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
    return FakeCapture


def test_a_camera_that_applies_the_settings_is_opened(v4l: type[FakeCapture]) -> None:
    v4l.fixed = {cv2.CAP_PROP_FPS: 29.97}
    with open_source("0", SourceOptions(height=720, width=1280, fps=30, fourcc="YUYV")) as source:
        assert source.live and source.name == "camera 0"
    assert v4l.released == 1


def test_a_camera_that_does_not_apply_the_settings_is_a_one_line_error(v4l: type[FakeCapture]) -> None:
    v4l.fixed = {
        cv2.CAP_PROP_FPS: 15,
        cv2.CAP_PROP_FRAME_WIDTH: 640,
        cv2.CAP_PROP_FRAME_HEIGHT: 480,
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
    }
    with pytest.raises(SourceError) as caught:
        open_source("/dev/video3", SourceOptions(height=720, width=1280, fps=30, fourcc="MJPG"))
    assert str(caught.value) == (
        "requested MJPG, 1280x720, 30 fps from /dev/video3, got YUYV, 640x480, 15 fps; "
        "list its supported modes with v4l2-ctl --list-formats-ext"
    )
    assert v4l.released == 1


def test_settings_that_were_not_requested_are_not_verified(v4l: type[FakeCapture]) -> None:
    v4l.fixed = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"), cv2.CAP_PROP_FPS: 7}
    with open_source("0") as source:
        assert source.live


def test_garbage_is_counted_after_good_frames_and_an_error_before_them(v4l: type[FakeCapture]) -> None:
    good, flat = np.zeros((48, 64, 3), np.uint8), np.zeros((1, 9216), np.uint8)
    v4l.frames = [good, flat, "not decoded", good]
    with open_source("0") as source:
        assert source.read() is not None
        frame = source.read()
        assert frame is not None and frame.number == 1
        assert source.bad_pictures == 2
        with pytest.raises(SourceLost):
            source.read()
    v4l.frames = [flat]
    with open_source("0") as source, pytest.raises(SourceError, match="height x width x 3"):
        source.read()


@pytest.mark.parametrize(
    "settings",
    [{"height": 480}, {"height": 0, "width": 640}, {"fps": 0}, {"fourcc": "MJPEG"}, {"stall_timeout_s": 0}],
)
def test_invalid_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        SourceOptions(**settings)


def test_settings_that_a_source_does_not_support_are_refused(tmp_path: Path) -> None:
    for text in (str(tmp_path), "http://me:s3cret@127.0.0.1:1/", "-"):
        with pytest.raises(SourceError, match="cannot be set here") as caught:
            open_source(text, SourceOptions(height=480, width=640))
        assert "s3cret" not in str(caught.value)
    for text in ("csi", "pattern"):
        with pytest.raises(SourceError, match="cannot be set to YUYV"):
            open_source(text, SourceOptions(fourcc="YUYV"))
