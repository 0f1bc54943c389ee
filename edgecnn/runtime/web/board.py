"""State of a run as shown by the page: cameras, outputs and recent events."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgecnn.core.labels import LabelMap
from edgecnn.core.versions import versions_of
from edgecnn.runtime.outputs.output import OutputStatus
from edgecnn.runtime.sinks import CameraEvent, Result
from edgecnn.runtime.sources import FrameSource
from edgecnn.runtime.web.figures import CameraFigures

KEPT_EVENTS = 200
"""Number of events kept for all cameras together; a viewer that falls further behind misses the older ones."""


class KeptEvent(NamedTuple):
    """An event and its 1-based sequence number."""

    number: int
    event: CameraEvent


class Board:
    """Owner of the statistics of every camera and of the recent events. Thread-safe."""

    def __init__(
        self,
        cameras: Sequence[FrameSource],
        *,
        labels: LabelMap,
        model: str,
        outputs: Callable[[], Sequence[OutputStatus]],
        quiet_after_s: float | None,
    ) -> None:
        self.cameras = tuple(map(CameraFigures, cameras, _distinct([camera.name for camera in cameras])))
        self.labels = labels
        self.model = model
        self.version = versions_of(["edgecnn"]).get("edgecnn", "unknown")
        self.outputs = outputs
        self.quiet_after_s = quiet_after_s
        self.started_at = time.time()
        self._started_s = time.monotonic()
        self._seconds = 0
        self._numbers = itertools.count(1)
        self._events_lock = threading.Lock()
        self._events: deque[KeptEvent] = deque(maxlen=KEPT_EVENTS)

    @property
    def uptime_s(self) -> float:
        """Time since the board was created."""
        return time.monotonic() - self._started_s

    @property
    def seconds(self) -> int:
        """Number of calls of `end_second`."""
        return self._seconds

    def add(self, result: Result) -> None:
        """Count a result."""
        self.cameras[result.camera].add(result)

    def on_event(self, event: CameraEvent) -> None:
        """Keep an event."""
        with self._events_lock:
            self._events.append(KeptEvent(next(self._numbers), event))

    def events_after(self, number: int) -> list[KeptEvent]:
        """Return the kept events after the one with this sequence number, oldest first."""
        with self._events_lock:
            return [event for event in self._events if event.number > number]

    def end_second(self) -> None:
        """Add a point to the history of every camera. Must be called once a second, by a single thread."""
        at = time.time()
        for camera in self.cameras:
            camera.end_second(at)
        self._seconds += 1


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names; repeated ones get the index of their camera."""
    return [f"{name} #{camera}" if names.count(name) > 1 else name for camera, name in enumerate(names)]
