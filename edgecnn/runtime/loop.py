"""The live loop: frames of one source or several in, results out, and what the run was like."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, SourceError, SourceLost
from edgecnn.core.frame import Frame, Prediction
from edgecnn.core.preprocess import Image
from edgecnn.core.settings import STALL_TIMEOUT_S
from edgecnn.runtime.decision import Decision, DecisionRule, DecisionState, Event, decide, finish
from edgecnn.runtime.motion import MotionGate
from edgecnn.runtime.newest import NewestFrame, NoFrameYet
from edgecnn.runtime.pace import pace, step_pace
from edgecnn.runtime.region import Region, crop
from edgecnn.runtime.sinks import CameraEvent, Ended, EventSink, Result, Sink, StopRun
from edgecnn.runtime.sources import FrameSource, SurvivingSource
from edgecnn.runtime.tally import RunSummary, Tally

_POLL_S = 0.2
"""How long the loop waits for any camera before it looks at its stop signs again."""


class ImageClassifier(Protocol):
    """What the loop needs of a `Classifier`."""

    def classify(self, image: Image) -> Prediction:
        """The best classes of `image` (uint8 HWC RGB)."""

    def last_probabilities(self) -> NDArray[np.float32]:
        """`[classes]` behind the last `classify`, in an array of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """What of the frames is classified, and what is made of the answers; the same for every source."""

    max_frames: int | None = None
    """Results of all sources together."""
    every_s: float = 0.0
    """At most one result of a source in so many seconds; 0 for all."""
    region: Region | None = None
    """The part of the picture that is classified."""
    motion_threshold: float | None = None
    """Gray levels by which a picture must differ from the last one classified; None classifies all."""
    rule: DecisionRule | None = None
    """Turns answers into decisions and events; None leaves them as they are."""
    stall_timeout_s: float = STALL_TIMEOUT_S
    """How long a live source that does not survive by itself may give no frame."""

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"expected 1 frame or more at most, got {self.max_frames}")
        if not 0 <= self.every_s < float("inf"):
            raise InputError(f"expected every as seconds of 0 or more, got {self.every_s:g}")


def run_loop(
    classifier: ImageClassifier,
    sources: Sequence[FrameSource],
    sinks: Sequence[Sink],
    settings: LoopSettings | None = None,
    *,
    event_sinks: Sequence[EventSink] = (),
    stop: threading.Event | None = None,
) -> tuple[RunSummary, ...]:
    """Classifies frame after frame of every source, gives the results to every sink, and returns a summary a source.

    Live sources are read through `NewestFrame`, in threads of their own; of files and folders every frame is
    classified. The sources take turns, so that a fast one does not starve a slow one. Ctrl-C, a set `stop`, lost
    cameras and a sink's `StopRun` end a run like the end of a file does: with summaries. Sources and sinks stay the
    caller's to close. Raises `InputError` for frames that cannot be used, `WriteError` where a sink does.
    """
    settings = settings or LoopSettings()
    changed = threading.Condition()
    with ExitStack() as owned:
        cameras = [_Camera(source, settings, changed, owned) for source in sources]
        try:
            ended = _take_turns(cameras, classifier, sinks, event_sinks, settings, changed, stop)
        except KeyboardInterrupt:
            ended = "interrupted"
        except StopRun as wish:
            ended = wish.ended
        for camera in cameras:
            camera.finish(ended, event_sinks)
        return tuple(camera.summary() for camera in cameras)


def classify_frame(classifier: ImageClassifier, frame: Frame, *, view: Image | None = None, dropped: int = 0) -> Result:
    """The result of a single frame; `view` is the part of its pixels to look at, all of them by default."""
    prediction = classifier.classify(frame.pixels if view is None else view)
    return Result(frame, prediction, (time.monotonic_ns() - frame.captured_ns) / 1e6, dropped)


def _take_turns(
    cameras: Sequence[_Camera],
    classifier: ImageClassifier,
    sinks: Sequence[Sink],
    event_sinks: Sequence[EventSink],
    settings: LoopSettings,
    changed: threading.Condition,
    stop: threading.Event | None,
) -> Ended:
    while stop is None or not stop.is_set():
        if all(camera.ended for camera in cameras):
            return "end of source"
        busy = False
        for camera in cameras:
            if camera.ended:
                continue
            busy = camera.take_turn(classifier, sinks, event_sinks) or busy
            if sum(each.tally.frames for each in cameras) == settings.max_frames:
                return "max frames"
        if not busy:
            with changed:
                changed.wait_for(lambda: any(camera.ready for camera in cameras), _POLL_S)
    return "stopped"


class _Camera:
    """One source of a run: its feed, and what its past amounts to."""

    def __init__(
        self, source: FrameSource, settings: LoopSettings, changed: threading.Condition, owned: ExitStack
    ) -> None:
        self.tally = Tally(source.name)
        self.ended: Ended | None = None
        self._reason = ""
        self._source = source
        self._feed: NewestFrame | None = None
        if source.live:
            stall_timeout_s = None if isinstance(source, SurvivingSource) else settings.stall_timeout_s
            self._feed = owned.enter_context(NewestFrame(source, stall_timeout_s=stall_timeout_s, changed=changed))
        self._region = settings.region
        self._pace = pace(settings.every_s)
        self._gate = None if settings.motion_threshold is None else MotionGate(settings.motion_threshold)
        self._rule = settings.rule
        self._state = DecisionState()
        self._last_ns = 0
        self._spare: Image | None = None

    @property
    def ready(self) -> bool:
        """Whether a turn would find something to do."""
        return self.ended is None and (self._feed is None or self._feed.ready)

    def take_turn(self, classifier: ImageClassifier, sinks: Sequence[Sink], event_sinks: Sequence[EventSink]) -> bool:
        """Classifies the next frame, if there is one by now; says whether there was."""
        try:
            frame = self._read()
        except NoFrameYet:
            return False
        except (SourceLost, SourceError) as error:
            if isinstance(error, SourceError) and not self.tally.frames:
                raise
            self.ended, self._reason = "camera lost", str(error)
            return True
        if frame is None:
            self.ended = "end of source"
            return True
        self._use(frame, classifier, sinks, event_sinks)
        self._spare = frame.pixels
        return True

    def finish(self, ended: Ended, event_sinks: Sequence[EventSink]) -> None:
        """Ends what has not ended by itself, and leaves the class that is held."""
        self.ended = self.ended or ended
        if self._rule is not None:
            self._state, events = finish(self._rule, self._state, max(self._last_ns, self._state.at_ns or 0))
            self._tell(events, time.time(), event_sinks)

    def summary(self) -> RunSummary:
        assert self.ended is not None  # noqa: S101 - `finish` has set it
        status = self._source.status if isinstance(self._source, SurvivingSource) else None
        return self.tally.summary(
            unreadable=tuple(self._source.unreadable),
            bad_pictures=self._source.bad_pictures,
            reconnects=status.reconnects if status else 0,
            ended=self.ended,
            reason=self._reason,
        )

    def _read(self) -> Frame | None:
        spare, self._spare = self._spare, None
        if self._feed is not None:
            return self._feed.read(spare, timeout_s=0)
        return self._source.read(spare)

    def _use(
        self, frame: Frame, classifier: ImageClassifier, sinks: Sequence[Sink], event_sinks: Sequence[EventSink]
    ) -> None:
        view = frame.pixels if self._region is None else crop(frame.pixels, self._region)
        if not self._is_due(frame, view):
            self.tally.skipped += 1
            return
        dropped = self._feed.dropped if self._feed is not None else 0
        result = classify_frame(classifier, frame, view=view, dropped=dropped)
        self._last_ns = frame.captured_ns
        self.tally.add(result)
        if self._rule is not None:
            result = replace(result, decision=self._decide(self._rule, classifier, frame))
        for sink in sinks:
            sink(result)
        if result.decision is not None:
            self._tell(result.decision.events, frame.captured_at, event_sinks)

    def _is_due(self, frame: Frame, view: Image) -> bool:
        next_pace, due = step_pace(self._pace, frame.captured_ns)
        if not due:
            return False
        # The gate comes after the pace, or it would note a motion that nobody looks at. While a decision is pending no
        # frame is skipped for showing nothing new: what changed would otherwise wait for the next change.
        if self._gate is not None and not self._gate(view, frame.captured_ns) and self._is_settled():
            return False
        self._pace = next_pace
        return True

    def _is_settled(self) -> bool:
        return self._rule is None or self._state.settled

    def _decide(self, rule: DecisionRule, classifier: ImageClassifier, frame: Frame) -> Decision:
        self._state, decision = decide(rule, self._state, classifier.last_probabilities(), frame.captured_ns)
        return decision

    def _tell(self, events: Sequence[Event], at: float, event_sinks: Sequence[EventSink]) -> None:
        for event in events:
            for sink in event_sinks:
                sink.tell(CameraEvent(self._source.name, at, event))
