"""One camera of a live run: its feed, its decisions and its summary."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
    """The part of `Classifier` that a live run needs."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """Preprocessing that `classify_prepared` expects."""

    def classify(self, image: Image) -> Prediction:
        """Classify an image (uint8 HWC RGB, any size)."""

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        """Classify an image that is already preprocessed."""

    def last_probabilities(self) -> NDArray[np.float32]:
        """Return the `[classes]` float32 probabilities of the last prediction, in a new array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """Selection of the frames to classify, and the decision rule. They are the same for every source."""

    max_frames: int | None = None
    """Number of results, of all sources together, after which the run ends; None for no limit."""
    every_s: float = 0.0
    """Minimum time between two results of a source, in seconds; 0 for no limit."""
    region: Region | None = None
    """Part of the picture that is classified; None for all of it."""
    motion_threshold: float | None = None
    """Mean difference from the last classified picture, in gray levels, below which a picture is skipped; None
    classifies all pictures."""
    rule: DecisionRule | None = None
    """Rule for decisions and events; None for predictions only."""
    stall_timeout_s: float = STALL_TIMEOUT_S
    """Time without a frame, in seconds, after which a live source is lost. It does not apply to a `SurvivingSource`,
    which handles stalls itself."""

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"expected max_frames of 1 or more, got {self.max_frames}")
        if not 0 <= self.every_s < float("inf"):
            raise InputError(f"expected every of 0 or more seconds, got {self.every_s:g}")

    @property
    def longest_pause_s(self) -> float:
        """Longest time in seconds without a result that is normal with these settings."""
        return self.every_s + (0.0 if self.motion_threshold is None else DEFAULT_MAX_QUIET_S)

    @property
    def takes_all(self) -> bool:
        """True if every frame that is read is classified."""
        return self.every_s == 0 and self.motion_threshold is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopContext:
    """Everything that the cameras of a run share."""

    classifier: ImageClassifier
    settings: LoopSettings
    sinks: Sequence[Sink]
    event_sinks: Sequence[EventSink] = ()
    on_result: Callable[[], None] | None = None
    """Called after each result was delivered to all sinks."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Notified when a feed has a new frame or ends."""


class Camera:
    """Owns the feed of one source and everything that is known about the source during a run."""

    def __init__(self, index: int, source: FrameSource, context: LoopContext) -> None:
        """Start to read a source.

        Args:
            index: 0-based index of the source in the run.
            source: An open source. The feed closes it.
            context: What the cameras of the run share.
        """
        settings = context.settings
        self.tally = Tally(source.name)
        self.ended: Ended | None = None
        self.feed = Feed(
            source,
            stall_timeout_s=None if isinstance(source, SurvivingSource) else settings.stall_timeout_s,
            # If frames may be skipped, preprocess them only after it is known that they are needed.
            prepare=_prepare_ahead(context.classifier.preprocess, settings.region) if settings.takes_all else None,
            changed=context.changed,
        )
        self._index = index
        self._reason = ""
        self._source = source
        self._context = context
        self._pace = pace(settings.every_s)
        self._gate = None if settings.motion_threshold is None else MotionGate(settings.motion_threshold)
        self._state = DecisionState()
        self._last_ns = 0
        self._spare: FedFrame | None = None

    @property
    def ready(self) -> bool:
        """True if `take_turn` has something to process."""
        return self.ended is None and self.feed.ready

    def take_turn(self) -> bool:
        """Process the next frame, or the end of the source, without waiting for it.

        Returns:
            True if there was something to process.

        Raises:
            SourceError: The source failed before its first result.
            InputError: The first frame cannot be used.
            StopRun: A sink wants to end the run.
            WriteError: A sink cannot deliver a result.
        """
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
        self._process(fed)
        self._spare = fed
        return True

    def finish(self, ended: Ended) -> None:
        """Set the reason of the end if the source has not ended already, and leave its current class."""
        self.ended = self.ended or ended
        rule = self._context.settings.rule
        if rule is not None:
            self._state, events = finish(rule, self._state, max(self._last_ns, self._state.at_ns or 0))
            self._send_events(events, time.time())

    def summary(self) -> RunSummary:
        """Return the summary of the source; call `finish` before."""
        assert self.ended is not None  # noqa: S101 - `finish` has set it
        status = self._source.status if isinstance(self._source, SurvivingSource) else None
        return self.tally.summary(
            unreadable=tuple(self._source.unreadable),
            bad_pictures=self._source.bad_pictures,
            reconnects=status.reconnects if status else 0,
            ended=self.ended,
            reason=self._reason,
        )

    def _process(self, fed: FedFrame) -> None:
        context, frame = self._context, fed.frame
        prediction = self._predict(fed)
        if prediction is None:
            self.tally.skipped += 1
            return
        result = finished_result(frame, prediction, dropped=self.feed.dropped, camera=self._index)
        self._last_ns = frame.captured_ns
        self.tally.add(result)
        rule = context.settings.rule
        if rule is not None:
            probabilities = context.classifier.last_probabilities()
            self._state, decision = decide(rule, self._state, probabilities, frame.captured_ns)
            result = replace(result, decision=decision)
        for sink in context.sinks:
            sink(result)
        if context.on_result is not None:
            context.on_result()
        if result.decision is not None:
            self._send_events(result.decision.events, frame.captured_at)

    def _predict(self, fed: FedFrame) -> Prediction | None:
        """Classify a frame; return None if it must be skipped."""
        classifier, region = self._context.classifier, self._context.settings.region
        if fed.prepared is not None:
            return classifier.classify_prepared(fed.prepared)
        try:
            view = fed.frame.pixels if region is None else crop(fed.frame.pixels, region)
        except InputError:
            # A camera that changed its frame size may change it back. If no frame ever contained the region, the region
            # itself is wrong.
            if self.tally.frames:
                return None
            raise
        return classifier.classify(view) if self._is_due(fed.frame, view) else None

    def _is_due(self, frame: Frame, view: Image) -> bool:
        next_pace, due = step_pace(self._pace, frame.captured_ns)
        if not due:
            return False
        # Ask the gate after the pace: otherwise, it would record motion in a frame that is not classified. While a
        # decision is pending, no frame is skipped for lack of motion: the change would wait for the next motion.
        if self._gate is not None and not self._gate(view, frame.captured_ns) and self._is_settled():
            return False
        self._pace = next_pace
        return True

    def _is_settled(self) -> bool:
        return self._context.settings.rule is None or self._state.settled

    def _send_events(self, events: Sequence[Event], at: float) -> None:
        for event in events:
            for sink in self._context.event_sinks:
                sink.on_event(CameraEvent(self._source.name, at, event, self._index))


def finished_result(frame: Frame, prediction: Prediction, *, dropped: int = 0, camera: int = 0) -> Result:
    """Return the result of a frame that was classified just now.

    Args:
        frame: The frame.
        prediction: Its prediction.
        dropped: Number of frames of this source that were lost so far.
        camera: 0-based index of the source in the run.

    Returns:
        A result with the frame's current age.
    """
    return Result(frame, prediction, (time.monotonic_ns() - frame.captured_ns) / 1e6, dropped, camera=camera)


def _prepare_ahead(spec: PreprocessSpec, region: Region | None) -> Prepare:
    preprocessor = Preprocessor(spec)

    def prepare(pixels: Image, out: Image | None) -> Image | None:
        try:
            view = pixels if region is None else crop(pixels, region)
        except InputError:
            # `Camera._predict` meets the same error and decides if the frame is skipped.
            return None
        return preprocessor(view, out)

    return prepare
