from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.runtime.display import draw_caption, open_display
from edgecnn.runtime.sinks import Result

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="DISPLAY exists on Linux only")
needs_screen = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed: apt install xvfb")


@pytest.fixture
def screen() -> Iterator[str]:
    """Name of a virtual display, for `DISPLAY`."""
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f":{server.stdout.readline().strip()}"
        server.terminate()


def a_result(label: str = "cat") -> Result:
    frame = Frame(np.zeros((120, 160, 3), np.uint8), "camera 0", 0, 0.0, 0, 0.0)
    return Result(frame, Prediction((Score(label, 0, 0.9),), StageLatency(0.0, 0.0, 0.0)), 0.0, 0)


@on_linux
def test_a_missing_screen_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="needs a screen"):
        open_display()


@on_linux
def test_a_screen_that_does_not_respond_is_an_error_and_not_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(InputError, match="none responds"):
        open_display()


def test_an_opencv_without_window_support_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(InputError, match="headless"):
        open_display()


def test_the_caption_is_drawn_on_the_given_canvas() -> None:
    canvas = np.full((240, 320, 3), 128, np.uint8)
    draw_caption(canvas, a_result(), 29.9)
    assert canvas[:40].min() == 0 and canvas[:40].max() > 200
    assert (canvas[120:] == 128).all()


def test_a_long_label_fits_the_picture() -> None:
    canvas = np.full((240, 320, 3), 128, np.uint8)
    draw_caption(canvas, a_result(label="academic gown, academic robe, judge's robe and more besides"), 29.9)
    assert (canvas[:, -2:] == 128).all()


WINDOW_UNTIL_CLOSED = """
import cv2
from edgecnn.runtime.display import open_display
from edgecnn.runtime.sinks import StopRun
from tests.runtime.test_display import a_result
with open_display("edgecnn test") as display:
    for _ in range(5):
        display(a_result())
    cv2.destroyWindow("edgecnn test")
    try:
        display(a_result())
    except StopRun as request:
        print(request.ended)
"""


@needs_screen
def test_a_window_shows_results_until_it_is_closed(screen: str) -> None:
    # Runs in a separate process, because Qt aborts the process when its screen disappears.
    done = subprocess.run(
        [sys.executable, "-c", WINDOW_UNTIL_CLOSED],
        env=os.environ | {"DISPLAY": screen, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "window closed\n", done.stderr
