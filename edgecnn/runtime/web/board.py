"""What a page shows of a run: its cameras, its outputs, and what happened last."""

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
"""Events of all cameras together; a viewer that falls behind by more misses the older ones."""


class KeptEvent(NamedTuple):
    """An event, and the how-manieth it is, counted from 1."""

    number: int
    event: CameraEvent


class Board:
    """Owns the figures of every camera and the recent events; any thread may call any of this."""

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
        return time.monotonic() - self._started_s

    @property
    def seconds(self) -> int:
        """How often `end_second` was called."""
        return self._seconds

    def add(self, result: Result) -> None:
        """Counts a result."""
        self.cameras[result.camera].add(result)

    def on_event(self, event: CameraEvent) -> None:
        """Keeps an event."""
        with self._events_lock:
            self._events.append(KeptEvent(next(self._numbers), event))

    def events_after(self, number: int) -> list[KeptEvent]:
        """The kept events after the one of that number, oldest first."""
        with self._events_lock:
            return [event for event in self._events if event.number > number]

    def end_second(self) -> None:
        """To be called once a second, by one thread: takes every camera's history a point further."""
        at = time.time()
        for camera in self.cameras:
            camera.end_second(at)
        self._seconds += 1


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, those that are there more than once with their camera's number."""
    return [f"{name} #{camera}" if names.count(name) > 1 else name for camera, name in enumerate(names)]
