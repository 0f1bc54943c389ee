"""What changes in cameras and outputs while a run goes on, in a line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.sources import FrameSource, SourceStatus, SurvivingSource

REPEAT_S = 60.0
"""Of the same output at most one line in so many seconds."""


class Notices:
    """Looks at the cameras and outputs at every call, and tells what is new: a loss, a return, an output that fails."""

    def __init__(
        self, cameras: Sequence[FrameSource], outputs: Sequence[QueuedOutput], log: Callable[[str], None]
    ) -> None:
        self._tell = log
        self._watched: list[_CameraNotices | _OutputNotices] = [
            *(_CameraNotices(camera) for camera in cameras if isinstance(camera, SurvivingSource)),
            *(_OutputNotices(output) for output in outputs),
        ]

    def __call__(self) -> None:
        for watched in self._watched:
            for line in watched.news(time.monotonic()):
                self._tell(line)


class _CameraNotices:
    def __init__(self, camera: SurvivingSource) -> None:
        self._camera = camera
        self._last = camera.status
        self._lost_s = 0.0

    def news(self, now_s: float) -> list[str]:
        last, status = self._last, self._camera.status
        self._last = status
        lines = []
        if status.reconnects > last.reconnects:
            lines.append(f"{self._camera.name} is back{self._after(last, now_s)}")
        if status.losses > last.losses:
            lines.append(f"{self._camera.name} is lost, opening it again: {status.last_error}")
            self._lost_s = now_s
        return lines if status.state == "reconnecting" else lines[::-1]

    def _after(self, last: SourceStatus, now_s: float) -> str:
        # Lost and back between two looks: nobody knows how long that took.
        return f" after {now_s - self._lost_s:.1f} s" if last.state == "reconnecting" else ""


class _OutputNotices:
    def __init__(self, output: QueuedOutput) -> None:
        self._output = output
        self._last = output.status
        self._reported_s = float("-inf")

    def news(self, now_s: float) -> list[str]:
        line = _change(self._last, self._output.status)
        if not line or now_s - self._reported_s < REPEAT_S:
            return []
        self._last, self._reported_s = self._output.status, now_s
        return [line]


def _change(reported: OutputStatus, status: OutputStatus) -> str:
    """What is to be said of an output since it was last told of; empty if nothing."""
    failed, dropped = status.failed - reported.failed, status.dropped - reported.dropped
    if status.failing and failed:
        return f"{status.name} fails, {failed} lost: {status.last_error}"
    if reported.failing and not status.failing:
        return f"{status.name} delivers again, {failed} lost meanwhile"
    if failed or dropped:
        return f"{status.name} is too slow or failed for a while, {failed + dropped} lost"
    return ""
