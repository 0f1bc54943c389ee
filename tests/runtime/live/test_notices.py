"""Notices about cameras and outputs during a run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from edgecnn.core.errors import WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.runtime.live import notices as module
from edgecnn.runtime.live.notices import Notices
from edgecnn.runtime.outputs.output import Want
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.sinks import CameraEvent, Result
from edgecnn.runtime.sources import open_surviving
from tests.runtime.sources.loopback_camera import LoopbackCamera

DEADLINE_S = 30.0


def a_result() -> Result:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), "camera 0", 0, 0.0, 0, 0.0)
    return Result(frame, Prediction((Score("cat", 0, 1.0),), StageLatency(0, 0, 0)), 0.0, 0)


class Fickle:
    """An output that fails while `broken` is set, and blocks while `released` is not."""

    name = "fickle"

    def __init__(self) -> None:
        self.broken = True
        self.released = threading.Event()
        self.released.set()

    def wants(self, result: Result) -> Want:
        return "figures"

    def take(self, item: Result | CameraEvent) -> None:
        self.released.wait(DEADLINE_S)
        if self.broken:
            raise WriteError("the disk is full; free some space")

    def close(self) -> None:
        pass


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_lost_camera_and_its_return_are_logged_once_each() -> None:
    lines: list[str] = []
    with (
        LoopbackCamera(user="me", password="s3cret") as camera,
        open_surviving(camera.address_for("me:s3cret")) as source,
    ):
        watch = Notices([source], [], lines.append)
        assert source.read() is not None
        watch()
        assert lines == []
        camera.die()
        threading.Timer(0.3, camera.come_back).start()
        reader = threading.Thread(target=lambda: [source.read() for _ in range(40)])
        reader.start()
        while reader.is_alive():
            watch()
            time.sleep(0.01)
        watch()
    lost, back = lines
    assert f"{source.name} is lost, opening it again: " in lost
    assert re.fullmatch(re.escape(source.name) + r" is back after \d+\.\d s", back)
    assert "s3cret" not in "".join(lines)


def test_a_failing_output_is_logged_once_a_minute_and_then_its_recovery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    output = Fickle()
    with QueuedOutput(output, capacity=10) as queued:
        watch = Notices([], [queued], lines.append)
        for count in range(1, 4):
            queued(a_result())
            wait_until(lambda count=count: queued.status.failed == count)  # type: ignore[misc]
            watch()
        assert lines == ["fickle fails, 1 lost: the disk is full; free some space"]
        output.broken = False
        queued(a_result())
        wait_until(lambda: queued.status.delivered == 1)
        watch()
        assert len(lines) == 1
        monkeypatch.setattr(module, "REPEAT_S", 0.0)
        watch()
        watch()
    assert lines[1:] == ["fickle delivers again, 2 lost meanwhile"]


def test_an_output_that_cannot_keep_up_is_logged() -> None:
    lines: list[str] = []
    output = Fickle()
    output.broken = False
    output.released.clear()
    with QueuedOutput(output, capacity=2) as queued:
        watch = Notices([], [queued], lines.append)
        for _ in range(10):
            queued(a_result())
        watch()
        output.released.set()
    (line,) = lines
    assert line == f"fickle is too slow or failed for a while, {queued.status.dropped} lost"
