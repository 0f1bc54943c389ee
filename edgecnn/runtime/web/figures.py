"""Statistics of one camera, in memory that does not grow with the duration of the run."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from edgecnn.core.preprocess import Image
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources import FrameSource, SourceStatus, SurvivingSource

HISTORY_S = 120
"""Length of the history."""

_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_RATE_OVER_S = 5
_SLOW_RATE_OVER_S = 30
_NO_PIXELS: Image = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Second:
    """Summary of the results of one second."""

    at: float
    """Unix time of its end."""
    frames: int
    """Number of results."""
    age_ms: float | None
    """Mean age of the results; None if there was none."""
    oldest_ms: float | None
    """Age of the oldest result; None if there was none."""
    inference_ms: float | None
    """Mean inference time; None if there was no result."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Cumulative histogram of times, as Prometheus defines it."""

    counts: tuple[tuple[float, int], ...]
    """Pairs of an upper bound in seconds and the number of times up to it."""
    sum_s: float
    """Sum of all times."""


@dataclass(frozen=True, slots=True)
class CameraView:
    """Statistics of a camera at one moment."""

    name: str
    """Distinct name of the camera."""
    live: bool
    """False for files."""
    status: SourceStatus | None
    """Connection status of a camera that is reopened after losses, otherwise None."""
    bad_pictures: int
    """Number of pictures that were truncated or could not be decoded."""
    latest: Result | None
    """Newest result, without its pixels."""
    frames: int
    """Number of results."""
    dropped: int
    """Number of frames dropped."""
    since_result_s: float | None
    """Time since the last result; None before the first."""
    age: Distribution
    """Ages of the results."""
    stages: dict[str, Distribution]
    """Times of the inference stages by name."""
    seconds: tuple[Second, ...]
    """History of the last `HISTORY_S`, oldest first."""

    @property
    def per_second(self) -> float:
        """Results per second over the last few seconds, or over a longer time if there are few results."""
        for over_s in (_RATE_OVER_S, _SLOW_RATE_OVER_S):
            recent = self.seconds[-over_s:]
            frames = sum(second.frames for second in recent)
            if frames >= _RATE_OVER_S:
                break
        return frames / len(recent) if recent else 0.0


class CameraFigures:
    """Collector of the statistics of a camera. Thread-safe."""

    def __init__(self, source: FrameSource, name: str) -> None:
        self.name = name
        self.live = source.live
        self._source = source
        self._lock = threading.Lock()
        self._latest: Result | None = None
        self._latest_s = 0.0
        self._frames = 0
        self._age = _Histogram()
        self._stages: dict[str, _Histogram] = {}
        self._seconds: deque[Second] = deque(maxlen=HISTORY_S)
        self._ages_ms: list[float] = []
        self._inferences_ms: list[float] = []

    def add(self, result: Result) -> None:
        """Count a result and keep it, without its pixels, as the latest."""
        without_pixels = replace(result, frame=replace(result.frame, pixels=_NO_PIXELS))
        stages_ms = result.prediction.latency_ms._asdict()
        with self._lock:
            self._latest, self._latest_s = without_pixels, time.monotonic()
            self._frames += 1
            self._age.add(result.age_ms / 1e3)
            for stage, spent_ms in stages_ms.items():
                self._stages.setdefault(stage, _Histogram()).add(spent_ms / 1e3)
            self._ages_ms.append(result.age_ms)
            self._inferences_ms.append(sum(stages_ms.values()))

    def end_second(self, at: float) -> None:
        """Add the results since the last call as a point of the history. Must be called once a second."""
        with self._lock:
            ages_ms, self._ages_ms = self._ages_ms, []
            inferences_ms, self._inferences_ms = self._inferences_ms, []
            self._seconds.append(_second(at, ages_ms, inferences_ms))

    def newest(self) -> tuple[int, Result | None]:
        """Return the number of results, and the last of them."""
        with self._lock:
            return self._frames, self._latest

    def view(self) -> CameraView:
        """Return all statistics, as a consistent snapshot."""
        status = self._source.status if isinstance(self._source, SurvivingSource) else None
        bad_pictures = self._source.bad_pictures
        with self._lock:
            return CameraView(
                name=self.name,
                live=self.live,
                status=status,
                bad_pictures=bad_pictures,
                latest=self._latest,
                frames=self._frames,
                dropped=self._latest.dropped if self._latest else 0,
                since_result_s=time.monotonic() - self._latest_s if self._latest else None,
                age=self._age.distribution(),
                stages={stage: spent.distribution() for stage, spent in self._stages.items()},
                seconds=tuple(self._seconds),
            )


class _Histogram:
    """Histogram of times."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, spent_s: float) -> None:
        self._counts[bisect_left(_BOUNDS_S, spent_s)] += 1
        self._sum_s += spent_s

    def distribution(self) -> Distribution:
        cumulative = np.cumsum(self._counts).tolist()
        return Distribution(tuple(zip((*_BOUNDS_S, float("inf")), cumulative, strict=True)), self._sum_s)


def _second(at: float, ages_ms: list[float], inferences_ms: list[float]) -> Second:
    if not ages_ms:
        return Second(at, 0, None, None, None)
    return Second(at, len(ages_ms), float(np.mean(ages_ms)), max(ages_ms), float(np.mean(inferences_ms)))
