"""Where results go: what a sink is given, and the two that write text."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TextIO

from edgecnn.core.errors import WriteError
from edgecnn.core.frame import Frame, Prediction
from edgecnn.runtime.decision import Decision, Event, event_record

Ended = Literal[
    "end of source", "max frames", "stopped", "interrupted", "camera lost", "window closed", "output closed"
]
"""Why a run came to its end; "output closed" is what `| head` does."""


@dataclass(frozen=True, slots=True)
class Result:
    """A frame and what it shows."""

    frame: Frame
    prediction: Prediction
    age_ms: float
    """From the picture being complete to the prediction being there."""
    dropped: int
    """Frames of the source lost so far, all told."""
    decision: Decision | None = None
    """What holds after this frame, where decisions are made."""
    camera: int = 0
    """Which of the run's sources it came from, counted from 0; a folder's frames are named after their files."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """A class was entered or left in front of a camera."""

    source: str
    at: float
    """Unix time in seconds."""
    event: Event
    camera: int = 0
    """Which of the run's sources, counted from 0."""


class Sink(Protocol):
    """Takes every result of a run, in order.

    The frame's pixels are the sink's only until it returns: the array is used again for a later frame. A sink that owns
    something has `close()` too, and whoever made it calls that.
    """

    def __call__(self, result: Result, /) -> None:
        """Raises `StopRun` to end the run, `WriteError` when the result cannot be delivered."""


class EventSink(Protocol):
    """Takes every event of a run, each after the result that brought it about."""

    def on_event(self, event: CameraEvent, /) -> None:
        """Raises as a `Sink` does."""


class StopRun(Exception):
    """A sink's wish that the run should end, which is no error."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended = ended


class FrameRate:
    """Results per second over the last few of them."""

    def __init__(self, window: int = 30) -> None:
        self._times_s: deque[float] = deque(maxlen=window)

    def tick(self) -> float:
        """Counts a result, now; 0 until there are two."""
        self._times_s.append(time.perf_counter())
        elapsed_s = self._times_s[-1] - self._times_s[0]
        return (len(self._times_s) - 1) / elapsed_s if elapsed_s > 0 else 0.0


def result_record(result: Result) -> dict[str, Any]:
    """The JSON object that `run --json` and `classify --json` print for a result."""
    frame, prediction = result.frame, result.prediction
    top = [{"label": best.label, "index": best.index, "score": round(best.score, 6)} for best in prediction.top]
    return {
        "source": frame.source,
        "frame": frame.number,
        "captured_at": round(frame.captured_at, 6),
        "age_ms": round(result.age_ms, 3),
        **top[0],
        "top": top,
        "latency_ms": {
            "capture": round(frame.capture_ms, 3),
            **{stage: round(spent_ms, 3) for stage, spent_ms in prediction.latency_ms._asdict().items()},
        },
        "dropped": result.dropped,
        **({} if result.decision is None else {"decision": _decision_record(result.decision)}),
    }


def _decision_record(decision: Decision) -> dict[str, Any] | None:
    current = decision.current
    if current is None:
        return None
    return {"label": current.label, "index": current.index, "score": round(current.score, 6)}


class JsonLines:
    """Writes a JSON object a line to `stream`, each one out at once. The stream stays its owner's to close."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, result: Result, /) -> None:
        write_text(self._stream, json.dumps(result_record(result)) + "\n")

    def on_event(self, event: CameraEvent, /) -> None:
        write_text(self._stream, json.dumps(event_record(event.event, event.source, event.at)) + "\n")


def write_text(stream: TextIO, text: str) -> None:
    """Write a text to a stream at once. Raises `StopRun` for a closed pipe, `WriteError` for a failed write."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise StopRun("output closed") from None
    except OSError as error:
        raise WriteError(
            f"cannot write results: {error.strerror}; free some space or send the output elsewhere"
        ) from None
