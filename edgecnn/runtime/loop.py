"""The live loop: frames in, results out, and what the run was like."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from edgecnn.core.errors import InputError, SourceLost
from edgecnn.core.frame import Frame, Prediction
from edgecnn.core.preprocess import Image
from edgecnn.core.stats import LatencyStats, latency_stats
from edgecnn.runtime.newest import NewestFrame
from edgecnn.runtime.sinks import Ended, Result, Sink, StopRun
from edgecnn.runtime.sources import FrameSource

STALL_TIMEOUT_S = 5.0
"""How long a live source may give no frame before it counts as lost."""

KEPT_RESULTS = 100_000
"""The summary's percentiles are those of the newest so many results, however long the run."""


class ImageClassifier(Protocol):
    """What the loop needs of a `Classifier`."""

    def classify(self, image: Image) -> Prediction:
        """The best classes of `image` (uint8 HWC RGB)."""


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
    """What a run was like.

    `stages` and `age` tell of the newest `KEPT_RESULTS` results; without a result there are none.
    """

    frames: int
    """Results delivered."""
    dropped: int
    """Frames of a live source that a newer one replaced."""
    unreadable: tuple[str, ...]
    """Images that were passed over since they cannot be decoded."""
    seconds: float
    fps: float
    stages: dict[str, LatencyStats]
    """`capture`, `preprocess`, `invoke`, `postprocess`; `total` is without `capture`, which goes on meanwhile."""
    age: LatencyStats | None
    """From a picture being complete to its prediction being there."""
    ended: Ended
    reason: str
    """What is known beyond `ended`, such as how the camera was lost; else empty."""


def run_loop(
    classifier: ImageClassifier,
    source: FrameSource,
    sinks: Sequence[Sink],
    *,
    max_frames: int | None = None,
    stop: threading.Event | None = None,
    stall_timeout_s: float = STALL_TIMEOUT_S,
) -> RunSummary:
    """Classifies frame after frame and gives each result to every sink, until the source or something ends the run.

    A live source is read through `NewestFrame`; of files and folders every frame is classified. Ctrl-C, a set `stop`, a
    lost camera and a sink's `StopRun` end a run like the end of a file does: with a summary. `source` and `sinks` stay
    the caller's to close. Raises `InputError` for frames that cannot be used, `WriteError` where a sink does.
    """
    if max_frames is not None and max_frames < 1:
        raise InputError(f"expected 1 frame or more at most, got {max_frames}")
    tally = _Tally()
    ended: Ended
    reason = ""
    try:
        with _feed_of(source, stall_timeout_s) as feed:
            ended = _classify_all(classifier, feed, sinks, tally, max_frames, stop)
    except KeyboardInterrupt:
        ended = "interrupted"
    except SourceLost as error:
        ended, reason = "camera lost", str(error)
    except StopRun as wish:
        ended = wish.ended
    return tally.summary(tuple(source.unreadable), ended, reason)


def classify_frame(classifier: ImageClassifier, frame: Frame, *, dropped: int = 0) -> Result:
    """The result of a single frame."""
    prediction = classifier.classify(frame.pixels)
    return Result(frame, prediction, (time.monotonic_ns() - frame.captured_ns) / 1e6, dropped)


def _feed_of(source: FrameSource, stall_timeout_s: float) -> AbstractContextManager[FrameSource]:
    return NewestFrame(source, stall_timeout_s=stall_timeout_s) if source.live else nullcontext(source)


def _classify_all(
    classifier: ImageClassifier,
    feed: FrameSource,
    sinks: Iterable[Sink],
    tally: _Tally,
    max_frames: int | None,
    stop: threading.Event | None,
) -> Ended:
    done_with: Image | None = None
    while stop is None or not stop.is_set():
        frame = feed.read(done_with)
        if frame is None:
            return "end of source"
        result = classify_frame(classifier, frame, dropped=feed.dropped)
        tally.add(result)
        for sink in sinks:
            sink(result)
        if tally.frames == max_frames:
            return "max frames"
        done_with = frame.pixels
    return "interrupted"


class _Tally:
    """Counts results and keeps the times of the newest `KEPT_RESULTS`, in memory that does not grow with the run."""

    def __init__(self) -> None:
        self.frames = 0
        self._dropped = 0
        self._started_s = time.perf_counter()
        self._spent_ms = np.zeros((KEPT_RESULTS, len(_Spent._fields)), np.float32)

    def add(self, result: Result) -> None:
        stages = result.prediction.latency_ms
        spent = _Spent(result.frame.capture_ms, *stages, total=sum(stages), age=result.age_ms)
        self._spent_ms[self.frames % KEPT_RESULTS] = spent
        self.frames += 1
        self._dropped = result.dropped

    def summary(self, unreadable: tuple[str, ...], ended: Ended, reason: str) -> RunSummary:
        seconds = time.perf_counter() - self._started_s
        columns = self._spent_ms[: min(self.frames, KEPT_RESULTS)].astype(np.float64).T
        stages = {
            name: latency_stats(column) for name, column in zip(_Spent._fields, columns, strict=True) if column.size
        }
        age = stages.pop("age", None)
        return RunSummary(
            frames=self.frames,
            dropped=self._dropped,
            unreadable=unreadable,
            seconds=seconds,
            fps=self.frames / seconds,
            stages=stages,
            age=age,
            ended=ended,
            reason=reason,
        )
