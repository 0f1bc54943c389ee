"""The live loop: frames of one source or several in, results out, and what the run was like."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from edgecnn.core.frame import Frame
from edgecnn.runtime.live.camera import Camera, ImageClassifier, LoopSettings, finished_result
from edgecnn.runtime.live.feed import close_feeds
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.sinks import Ended, EventSink, Result, Sink, StopRun
from edgecnn.runtime.sources import FrameSource

__all__ = ["ImageClassifier", "LoopSettings", "classify_frame", "run_loop"]

_POLL_S = 0.2
"""How long the loop waits for any camera before it looks at its stop signs again."""


def run_loop(
    classifier: ImageClassifier,
    sources: Sequence[FrameSource],
    sinks: Sequence[Sink],
    settings: LoopSettings | None = None,
    *,
    event_sinks: Sequence[EventSink] = (),
    watchers: Sequence[Callable[[], None]] = (),
    stop: threading.Event | None = None,
) -> tuple[RunSummary, ...]:
    """Classifies frame after frame of every source, gives the results to every sink, and returns a summary a source.

    Sources are read through a `Feed`, in threads of their own: of a live one the newest frame is classified, of files
    and folders every one. The sources take turns, so that a fast one does not starve a slow one. `watchers` are called
    after each round, frames or not, and at least every 0.2 s as long as all is well. Ctrl-C, a set `stop`, lost
    cameras and a sink's `StopRun` end a run like the end of a file does: with summaries. Sinks stay the caller's to
    close; the sources are closed. Raises `InputError` for frames that cannot be used, `WriteError` where a sink does.
    """
    settings = settings or LoopSettings()
    changed = threading.Condition()
    cameras: list[Camera] = []
    with ExitStack() as owned:
        owned.callback(lambda: close_feeds([camera.feed for camera in cameras]))
        cameras.extend(Camera(place, source, settings, classifier, changed) for place, source in enumerate(sources))
        try:
            ended = _take_turns(cameras, classifier, sinks, event_sinks, watchers, settings.max_frames, changed, stop)
        except KeyboardInterrupt:
            ended = "interrupted"
        except StopRun as request:
            ended = request.ended
        for camera in cameras:
            camera.finish(ended, event_sinks)
        return tuple(camera.summary() for camera in cameras)


def classify_frame(classifier: ImageClassifier, frame: Frame) -> Result:
    """The result of a single frame."""
    return finished_result(frame, classifier.classify(frame.pixels))


def _take_turns(
    cameras: Sequence[Camera],
    classifier: ImageClassifier,
    sinks: Sequence[Sink],
    event_sinks: Sequence[EventSink],
    watchers: Sequence[Callable[[], None]],
    max_frames: int | None,
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
            if sum(each.tally.frames for each in cameras) == max_frames:
                return "max frames"
        for watch in watchers:
            watch()
        if not busy:
            with changed:
                changed.wait_for(lambda: any(camera.ready for camera in cameras), _POLL_S)
    return "stopped"
