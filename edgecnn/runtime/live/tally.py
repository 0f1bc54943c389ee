"""What a run was like, in memory that does not grow with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgecnn.core.metrics.latency import LatencyStats, latency_stats
from edgecnn.runtime.sinks import Ended, Result

KEPT_RESULTS = 20_000
"""The summary's percentiles are those of the newest so many results, however long the run."""


class _Spent(NamedTuple):
    """Milliseconds of one result, by the summary's names."""

    capture: float
    preprocess: float
    invoke: float
    postprocess: float
    total: float
    age: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run was like for one source.

    `stages` and `age` tell of the newest `KEPT_RESULTS` results; without a result there are none.
    """

    source: str
    frames: int
    """Results delivered."""
    dropped: int
    """Frames of a live source that a newer one replaced."""
    skipped: int
    """Frames that were not classified: too soon after the last, without motion, or too small for the region."""
    unreadable: tuple[str, ...]
    """Images that were passed over since they cannot be decoded."""
    bad_pictures: int
    """Pictures of a camera that came cut or garbled."""
    reconnects: int
    """How often a lost camera came back."""
    seconds: float
    fps: float
    stages: dict[str, LatencyStats]
    """`capture`, `preprocess`, `invoke`, `postprocess`; `total` is without `capture`, which goes on meanwhile."""
    age: LatencyStats | None
    """From a picture being complete to its prediction being there."""
    ended: Ended
    reason: str
    """What is known beyond `ended`, such as how the camera was lost; else empty."""


class Tally:
    """Counts the results of a source and keeps the times of the newest `KEPT_RESULTS`."""

    def __init__(self, source: str) -> None:
        self.frames = 0
        self.skipped = 0
        self._source = source
        self._dropped = 0
        self._started_s = time.perf_counter()
        # Written to now, so that a process that runs for long does not grow while this fills.
        self._spent_ms = np.full((KEPT_RESULTS, len(_Spent._fields)), np.nan, np.float32)

    def add(self, result: Result) -> None:
        """Counts a result."""
        stages = result.prediction.latency_ms
        spent = _Spent(result.frame.capture_ms, *stages, total=sum(stages), age=result.age_ms)
        self._spent_ms[self.frames % KEPT_RESULTS] = spent
        self.frames += 1
        self._dropped = result.dropped

    def summary(
        self, *, unreadable: tuple[str, ...], bad_pictures: int, reconnects: int, ended: Ended, reason: str
    ) -> RunSummary:
        """What has been counted until now."""
        seconds = time.perf_counter() - self._started_s
        columns = self._spent_ms[: min(self.frames, KEPT_RESULTS)].astype(np.float64).T
        stages = {
            name: latency_stats(column) for name, column in zip(_Spent._fields, columns, strict=True) if column.size
        }
        age = stages.pop("age", None)
        return RunSummary(
            source=self._source,
            frames=self.frames,
            dropped=self._dropped,
            skipped=self.skipped,
            unreadable=unreadable,
            bad_pictures=bad_pictures,
            reconnects=reconnects,
            seconds=seconds,
            fps=self.frames / seconds,
            stages=stages,
            age=age,
            ended=ended,
            reason=reason,
        )
