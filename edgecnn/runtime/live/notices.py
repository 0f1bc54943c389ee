"""Notices about cameras and outputs during a run, one line each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.outputs.queued import QueuedOutput
from edgecnn.runtime.sources import FrameSource, SourceStatus, SurvivingSource

REPEAT_S = 60.0
"""Minimum time between two notices about the same output, in seconds."""


class Notices:
    """A watcher that logs when a camera is lost or comes back, and when an output fails or recovers."""

    def __init__(
        self, cameras: Sequence[FrameSource], outputs: Sequence[QueuedOutput], log: Callable[[str], None]
    ) -> None:
        """Watch cameras and outputs from their current state on.

        Args:
            cameras: Sources of the run. Only a `SurvivingSource` can come back, so others are not watched.
            outputs: Outputs of the run.
            log: Receives each notice.
        """
        self._log = log
        self._watched: list[_CameraNotices | _OutputNotices] = [
            *(_CameraNotices(camera) for camera in cameras if isinstance(camera, SurvivingSource)),
            *(_OutputNotices(output) for output in outputs),
        ]

    def __call__(self) -> None:
        """Log all changes since the last call."""
        for watched in self._watched:
            for line in watched.new_lines(time.monotonic()):
                self._log(line)


class _CameraNotices:
    def __init__(self, camera: SurvivingSource) -> None:
        self._camera = camera
        self._last = camera.status
        self._lost_s = 0.0

    def new_lines(self, now_s: float) -> list[str]:
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
        # If the camera was lost and came back between two calls, the duration is unknown.
        return f" after {now_s - self._lost_s:.1f} s" if last.state == "reconnecting" else ""


class _OutputNotices:
    def __init__(self, output: QueuedOutput) -> None:
        self._output = output
        self._last = output.status
        self._reported_s = float("-inf")

    def new_lines(self, now_s: float) -> list[str]:
        line = _describe_change(self._last, self._output.status)
        if not line or now_s - self._reported_s < REPEAT_S:
            return []
        self._last, self._reported_s = self._output.status, now_s
        return [line]


def _describe_change(reported: OutputStatus, status: OutputStatus) -> str:
    """Return a notice about the changes since the last one, or "" if there is nothing to report."""
    failed, dropped = status.failed - reported.failed, status.dropped - reported.dropped
    if status.failing and failed:
        return f"{status.name} fails, {failed} lost: {status.last_error}"
    if reported.failing and not status.failing:
        return f"{status.name} delivers again, {failed} lost meanwhile"
    if failed or dropped:
        return f"{status.name} is too slow or failed for a while, {failed + dropped} lost"
    return ""
