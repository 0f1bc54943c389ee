"""What is said while a run goes on."""

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
    """An output that delivers or not, as it is told."""

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


def wait_until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_camera_that_goes_and_comes_back_is_told_of_once_each() -> None:
    told: list[str] = []
    with (
        LoopbackCamera(user="me", password="s3cret") as camera,
        open_surviving(camera.address_for("me:s3cret")) as source,
    ):
        watch = Notices([source], [], told.append)
        assert source.read() is not None
        watch()
        assert told == []
        camera.die()
        threading.Timer(0.3, camera.come_back).start()
        reader = threading.Thread(target=lambda: [source.read() for _ in range(40)])
        reader.start()
        while reader.is_alive():
            watch()
            time.sleep(0.01)
        watch()
    lost, back = told
    assert f"{source.name} is lost, opening it again: " in lost
    assert re.fullmatch(re.escape(source.name) + r" is back after \d+\.\d s", back)
    assert "s3cret" not in "".join(told)


def test_a_failing_output_is_told_of_once_a_minute_and_then_that_it_delivers_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    output = Fickle()
    with QueuedOutput(output, capacity=10) as queued:
        watch = Notices([], [queued], told.append)
        for count in range(1, 4):
            queued(a_result())
            wait_until(lambda count=count: queued.status.failed == count)  # type: ignore[misc]
            watch()
        assert told == ["fickle fails, 1 lost: the disk is full; free some space"]
        output.broken = False
        queued(a_result())
        wait_until(lambda: queued.status.delivered == 1)
        watch()
        assert len(told) == 1
        monkeypatch.setattr(module, "REPEAT_S", 0.0)
        watch()
        watch()
    assert told[1:] == ["fickle delivers again, 2 lost meanwhile"]


def test_an_output_that_cannot_keep_up_is_told_of() -> None:
    told: list[str] = []
    output = Fickle()
    output.broken = False
    output.released.clear()
    with QueuedOutput(output, capacity=2) as queued:
        watch = Notices([], [queued], told.append)
        for _ in range(10):
            queued(a_result())
        watch()
        output.released.set()
    (line,) = told
    assert line == f"fickle is too slow or failed for a while, {queued.status.dropped} lost"
