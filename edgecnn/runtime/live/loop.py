"""The live loop: frames of one or more sources in, results out, and a summary at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from edgecnn.core.frame import Frame
from edgecnn.runtime.live.camera import Camera, ImageClassifier, LoopContext, LoopSettings, finished_result
from edgecnn.runtime.live.feed import close_feeds
from edgecnn.runtime.live.tally import RunSummary
from edgecnn.runtime.sinks import Ended, EventSink, Result, Sink, StopRun
from edgecnn.runtime.sources import FrameSource

__all__ = ["ImageClassifier", "LoopSettings", "classify_frame", "run_loop"]

_POLL_S = 0.2
"""Longest time that the loop waits for a frame before it calls the watchers and checks `stop` again."""


def run_loop(
    classifier: ImageClassifier,
    sources: Sequence[FrameSource],
    sinks: Sequence[Sink],
    settings: LoopSettings | None = None,
    *,
    event_sinks: Sequence[EventSink] = (),
    watchers: Sequence[Callable[[], None]] = (),
    on_result: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
) -> tuple[RunSummary, ...]:
    """Classify the frames of all sources until the run ends.

    Each source is read by a `Feed` in its own thread. The newest frame of a live source is classified; every frame of a
    file or folder is classified. The sources take turns, so that a fast source does not starve a slow one. Ctrl-C, a
    set `stop`, lost cameras and a sink's `StopRun` end a run in the same way as the end of a file: with summaries.

    Args:
        classifier: Classifies the frames, in this thread.
        sources: Open sources. They are closed at the end.
        sinks: Receive every result. The caller closes them.
        settings: Selection of frames and decision rule; by default, all frames and no decisions.
        event_sinks: Receive every event. The caller closes them.
        watchers: Called after each round over the sources, and at least every 0.2 s as long as no call blocks.
        on_result: Called after each result was delivered to all sinks.
        stop: The run ends when this event is set.

    Returns:
        One summary per source.

    Raises:
        InputError: The frames of a source cannot be used.
        WriteError: A sink cannot deliver a result.
    """
    context = LoopContext(
        classifier=classifier,
        settings=settings or LoopSettings(),
        sinks=sinks,
        event_sinks=event_sinks,
        on_result=on_result,
    )
    cameras: list[Camera] = []
    with ExitStack() as owned:
        owned.callback(lambda: close_feeds([camera.feed for camera in cameras]))
        cameras.extend(Camera(index, source, context) for index, source in enumerate(sources))
        try:
            ended = _take_turns(cameras, context, watchers=watchers, stop=stop)
        except KeyboardInterrupt:
            ended = "interrupted"
        except StopRun as request:
            ended = request.ended
        for camera in cameras:
            camera.finish(ended)
        return tuple(camera.summary() for camera in cameras)


def classify_frame(classifier: ImageClassifier, frame: Frame) -> Result:
    """Classify a single frame.

    Args:
        classifier: Classifies the frame.
        frame: The frame.

    Returns:
        The result, without a decision.
    """
    return finished_result(frame, classifier.classify(frame.pixels))


def _take_turns(
    cameras: Sequence[Camera],
    context: LoopContext,
    *,
    watchers: Sequence[Callable[[], None]],
    stop: threading.Event | None,
) -> Ended:
    while stop is None or not stop.is_set():
        if all(camera.ended for camera in cameras):
            return "end of source"
        busy = False
        for camera in cameras:
            if camera.ended:
                continue
            busy = camera.take_turn() or busy
            if sum(other.tally.frames for other in cameras) == context.settings.max_frames:
                return "max frames"
        for watch in watchers:
            watch()
        if not busy:
            with context.changed:
                context.changed.wait_for(lambda: any(camera.ready for camera in cameras), _POLL_S)
    return "stopped"
