from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import InputError, SourceError, SourceLost
from edgecnn.runtime.sources import SourceOptions, open_source


class FakeCapture:
    """A `cv2.VideoCapture` of a V4L2 camera that has only the settings in `can`."""

    can: ClassVar[dict[int, float]] = {}
    frames: ClassVar[list[Any]] = []
    released: ClassVar[int] = 0

    def __init__(self, *opening: object) -> None:
        self._settings = dict(self.can)
        self._frames = iter(self.frames)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, setting: int, value: float) -> bool:
        fixed = setting in self.can
        self._settings.setdefault(setting, value)
        return not fixed

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
    monkeypatch.setattr(FakeCapture, "can", {})
    monkeypatch.setattr(FakeCapture, "frames", [])
    monkeypatch.setattr(FakeCapture, "released", 0)
    monkeypatch.setenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
    return FakeCapture


def test_a_camera_that_does_what_it_is_asked_is_opened(v4l: type[FakeCapture]) -> None:
    v4l.can = {cv2.CAP_PROP_FPS: 29.97}
    with open_source("0", SourceOptions(height=720, width=1280, fps=30, fourcc="YUYV")) as source:
        assert source.live and source.name == "camera 0"
    assert v4l.released == 1


def test_a_camera_that_does_something_else_is_refused_in_one_line(v4l: type[FakeCapture]) -> None:
    v4l.can = {
        cv2.CAP_PROP_FPS: 15,
        cv2.CAP_PROP_FRAME_WIDTH: 640,
        cv2.CAP_PROP_FRAME_HEIGHT: 480,
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"),
    }
    with pytest.raises(SourceError) as caught:
        open_source("/dev/video3", SourceOptions(height=720, width=1280, fps=30, fourcc="MJPG"))
    assert str(caught.value) == (
        "/dev/video3 was asked for MJPG, 1280x720, 30 fps and gives YUYV, 640x480, 15 fps; "
        "see what it can do with v4l2-ctl --list-formats-ext"
    )
    assert v4l.released == 1


def test_what_was_not_asked_for_is_not_verified(v4l: type[FakeCapture]) -> None:
    v4l.can = {cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*"YUYV"), cv2.CAP_PROP_FPS: 7}
    with open_source("0") as source:
        assert source.live


def test_garbage_after_good_frames_is_counted_and_before_them_refused(v4l: type[FakeCapture]) -> None:
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
    "wishes",
    [{"height": 480}, {"height": 0, "width": 640}, {"fps": 0}, {"fourcc": "MJPEG"}, {"stall_timeout_s": 0}],
)
def test_wishes_that_make_no_sense_are_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        SourceOptions(**wishes)


def test_what_cannot_be_asked_says_so(tmp_path: Path) -> None:
    for text in (str(tmp_path), "http://me:s3cret@127.0.0.1:1/", "-"):
        with pytest.raises(SourceError, match="cannot be asked") as caught:
            open_source(text, SourceOptions(height=480, width=640))
        assert "s3cret" not in str(caught.value)
    for text in ("csi", "pattern"):
        with pytest.raises(SourceError, match="cannot be asked for the pixel format YUYV"):
            open_source(text, SourceOptions(fourcc="YUYV"))
