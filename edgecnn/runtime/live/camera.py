"""One source of a live run: its feed, and what its past amounts to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, SourceError, SourceLost
from edgecnn.core.frame import Frame, Prediction, PreparedFrame
from edgecnn.core.preprocess import Image, Preprocessor, PreprocessSpec
from edgecnn.core.settings.command_settings import STALL_TIMEOUT_S
from edgecnn.runtime.decision import DecisionRule, DecisionState, Event, decide, finish
from edgecnn.runtime.live.feed import FedFrame, Feed, NoFrameYet, Prepare
from edgecnn.runtime.live.motion import DEFAULT_MAX_QUIET_S, MotionGate
from edgecnn.runtime.live.tally import RunSummary, Tally
from edgecnn.runtime.pace import pace, step_pace
from edgecnn.runtime.region import Region, crop
from edgecnn.runtime.sinks import CameraEvent, Ended, EventSink, Result, Sink
from edgecnn.runtime.sources import FrameSource, SurvivingSource


class ImageClassifier(Protocol):
    """What a live run needs of a `Classifier`."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """What `classify_prepared` expects to be done already."""

    def classify(self, image: Image) -> Prediction:
        """The best classes of `image` (uint8 HWC RGB)."""

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        """The best classes of an image that was preprocessed already."""

    def last_probabilities(self) -> NDArray[np.float32]:
        """`[classes]` behind the last prediction, in an array of its own."""


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

    @property
    def longest_pause_s(self) -> float:
        """How long a camera that is well may be without a result by design."""
        return self.every_s + (0.0 if self.motion_threshold is None else DEFAULT_MAX_QUIET_S)

    @property
    def takes_all(self) -> bool:
        """Whether every frame that is read is classified."""
        return self.every_s == 0 and self.motion_threshold is None


class Camera:
    """Owns the feed of one source, and is told the sinks and the classifier at every turn."""

    def __init__(
        self,
        place: int,
        source: FrameSource,
        settings: LoopSettings,
        classifier: ImageClassifier,
        changed: threading.Condition,
    ) -> None:
        """`place` is the source's among those of the run."""
        self.tally = Tally(source.name)
        self.ended: Ended | None = None
        self.feed = Feed(
            source,
            stall_timeout_s=None if isinstance(source, SurvivingSource) else settings.stall_timeout_s,
            # A frame that may well be skipped is better left alone until it is known.
            prepare=_preparing(classifier.preprocess, settings.region) if settings.takes_all else None,
            changed=changed,
        )
        self._place = place
        self._reason = ""
        self._source = source
        self._region = settings.region
        self._pace = pace(settings.every_s)
        self._gate = None if settings.motion_threshold is None else MotionGate(settings.motion_threshold)
        self._rule = settings.rule
        self._state = DecisionState()
        self._last_ns = 0
        self._spare: FedFrame | None = None

    @property
    def ready(self) -> bool:
        """Whether a turn would find something to do."""
        return self.ended is None and self.feed.ready

    def take_turn(self, classifier: ImageClassifier, sinks: Sequence[Sink], event_sinks: Sequence[EventSink]) -> bool:
        """Classifies the next frame, if there is one by now; says whether there was."""
        spare, self._spare = self._spare, None
        try:
            fed = self.feed.read(spare, timeout_s=0)
        except NoFrameYet:
            return False
        except (SourceLost, SourceError) as error:
            if isinstance(error, SourceError) and not self.tally.frames:
                raise
            self.ended, self._reason = "camera lost", str(error)
            return True
        if fed is None:
            self.ended = "end of source"
            return True
        self._use(fed, classifier, sinks, event_sinks)
        self._spare = fed
        return True

    def finish(self, ended: Ended, event_sinks: Sequence[EventSink]) -> None:
        """Ends what has not ended by itself, and leaves the class that is held."""
        self.ended = self.ended or ended
        if self._rule is not None:
            self._state, events = finish(self._rule, self._state, max(self._last_ns, self._state.at_ns or 0))
            self._send_events(events, time.time(), event_sinks)

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

    def _use(
        self, fed: FedFrame, classifier: ImageClassifier, sinks: Sequence[Sink], event_sinks: Sequence[EventSink]
    ) -> None:
        frame = fed.frame
        prediction = self._predict(fed, classifier)
        if prediction is None:
            self.tally.skipped += 1
            return
        result = finished_result(frame, prediction, dropped=self.feed.dropped, camera=self._place)
        self._last_ns = frame.captured_ns
        self.tally.add(result)
        if self._rule is not None:
            probabilities = classifier.last_probabilities()
            self._state, decision = decide(self._rule, self._state, probabilities, frame.captured_ns)
            result = replace(result, decision=decision)
        for sink in sinks:
            sink(result)
        if result.decision is not None:
            self._send_events(result.decision.events, frame.captured_at, event_sinks)

    def _predict(self, fed: FedFrame, classifier: ImageClassifier) -> Prediction | None:
        """None for a frame that is not to be classified."""
        if fed.prepared is not None:
            return classifier.classify_prepared(fed.prepared)
        try:
            view = fed.frame.pixels if self._region is None else crop(fed.frame.pixels, self._region)
        except InputError:
            # A camera that changes its size may change it back; one that never had the region was told a wrong one.
            if self.tally.frames:
                return None
            raise
        return classifier.classify(view) if self._is_due(fed.frame, view) else None

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

    def _send_events(self, events: Sequence[Event], at: float, event_sinks: Sequence[EventSink]) -> None:
        for event in events:
            for sink in event_sinks:
                sink.on_event(CameraEvent(self._source.name, at, event, self._place))


def finished_result(frame: Frame, prediction: Prediction, *, dropped: int = 0, camera: int = 0) -> Result:
    """The result of a frame that has just been classified."""
    return Result(frame, prediction, (time.monotonic_ns() - frame.captured_ns) / 1e6, dropped, camera=camera)


def _preparing(spec: PreprocessSpec, region: Region | None) -> Prepare:
    preprocessor = Preprocessor(spec)

    def prepare(pixels: Image, out: Image | None) -> Image | None:
        try:
            view = pixels if region is None else crop(pixels, region)
        except InputError:
            # The camera's turn will meet the same, and knows what to make of it.
            return None
        return preprocessor(view, out)

    return prepare
