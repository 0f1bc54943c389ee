"""Statistics of a run, in memory of constant size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgecnn.core.metrics.latency import LatencyStats, latency_stats
from edgecnn.runtime.sinks import Ended, Result

KEPT_RESULTS = 20_000
"""Number of newest results that the percentiles of a summary cover, however long the run."""


class _Spent(NamedTuple):
    """Times of one result in milliseconds, under the names of the summary."""

    capture: float
    preprocess: float
    invoke: float
    postprocess: float
    total: float
    age: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a run for one source.

    `stages` and `age` cover the newest `KEPT_RESULTS` results. Without a result, they are empty and None.
    """

    source: str
    frames: int
    """Number of results."""
    dropped: int
    """Number of frames of a live source that were replaced by a newer one."""
    skipped: int
    """Number of frames that were not classified: too soon after the last, without motion, too small for the region."""
    unreadable: tuple[str, ...]
    """Image files that were skipped because they cannot be decoded."""
    bad_pictures: int
    """Number of a camera's pictures that were truncated or corrupted."""
    reconnects: int
    """Number of times that a lost camera came back."""
    seconds: float
    """Duration of the run."""
    fps: float
    """Results per second."""
    stages: dict[str, LatencyStats]
    """`capture`, `preprocess`, `invoke`, `postprocess`, and `total`, which excludes `capture` because that runs in
    parallel."""
    age: LatencyStats | None
    """Time from the complete picture to its prediction."""
    ended: Ended
    reason: str
    """Details about `ended`, such as the error that lost the camera; "" if there are none."""


class Tally:
    """Counts the results of a source, and keeps the times of the newest `KEPT_RESULTS`."""

    def __init__(self, source: str) -> None:
        """Start the clock of a source with this name."""
        self.frames = 0
        self.skipped = 0
        self._source = source
        self._dropped = 0
        self._started_s = time.perf_counter()
        # Filled now, so that the memory of a long-running process does not grow as results arrive.
        self._spent_ms = np.full((KEPT_RESULTS, len(_Spent._fields)), np.nan, np.float32)

    def add(self, result: Result) -> None:
        """Count a result."""
        stages = result.prediction.latency_ms
        spent = _Spent(result.frame.capture_ms, *stages, total=sum(stages), age=result.age_ms)
        self._spent_ms[self.frames % KEPT_RESULTS] = spent
        self.frames += 1
        self._dropped = result.dropped

    def summary(
        self, *, unreadable: tuple[str, ...], bad_pictures: int, reconnects: int, ended: Ended, reason: str
    ) -> RunSummary:
        """Return the summary up to now.

        Args:
            unreadable: Image files that were skipped.
            bad_pictures: Number of truncated or corrupted pictures.
            reconnects: Number of times that the camera came back.
            ended: Why the source ended.
            reason: Details about `ended`, or "".

        Returns:
            The summary.
        """
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
