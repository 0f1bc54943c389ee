"""Sinks: the interface that receives results and events, and the sink that writes JSON lines."""

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
"""Reason why a run ended. "output closed" means that the reader of stdout closed the pipe, as `| head` does."""


@dataclass(frozen=True, slots=True)
class Result:
    """A classified frame."""

    frame: Frame
    prediction: Prediction
    age_ms: float
    """Time from the complete picture to the prediction, in milliseconds."""
    dropped: int
    """Total number of frames of this source that were lost so far."""
    decision: Decision | None = None
    """Decision after this frame; None if the run makes no decisions."""
    camera: int = 0
    """0-based index of the source in the run. `frame.source` does not always identify it: frames of a folder are named
    after their files."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """A class was entered or left in the view of a camera."""

    source: str
    at: float
    """Unix time in seconds."""
    event: Event
    camera: int = 0
    """0-based index of the source in the run."""


class Sink(Protocol):
    """Receives every result of a run, in order.

    A sink may use the frame's pixels only until it returns, because the array is reused for a later frame. A sink that
    owns a resource also has `close()`, which its creator calls.
    """

    def __call__(self, result: Result, /) -> None:
        """Receive a result.

        Raises:
            StopRun: The run should end.
            WriteError: The result cannot be delivered.
        """


class EventSink(Protocol):
    """Receives every event of a run, each after the result that caused it."""

    def on_event(self, event: CameraEvent, /) -> None:
        """Receive an event.

        Raises:
            StopRun: The run should end.
            WriteError: The event cannot be delivered.
        """


class StopRun(Exception):
    """Request by a sink to end the run. It is not an error."""

    def __init__(self, ended: Ended) -> None:
        """Keep the reason why the run should end, for the summary."""
        super().__init__(ended)
        self.ended = ended


class FrameRate:
    """Number of results per second, averaged over the most recent ones."""

    def __init__(self, window: int = 30) -> None:
        """Start without results.

        Args:
            window: Number of results that the average covers.
        """
        self._times_s: deque[float] = deque(maxlen=window)

    def tick(self) -> float:
        """Count a result now and return the rate in results per second; it is 0 until there are two results."""
        self._times_s.append(time.perf_counter())
        elapsed_s = self._times_s[-1] - self._times_s[0]
        return (len(self._times_s) - 1) / elapsed_s if elapsed_s > 0 else 0.0


def result_record(result: Result) -> dict[str, Any]:
    """Return the JSON object that `run --json` and `classify --json` print for a result.

    Args:
        result: A classified frame.

    Returns:
        Values that `json.dumps` accepts. `decision` is present only if the run makes decisions.
    """
    frame, prediction = result.frame, result.prediction
    top = [{"label": score.label, "index": score.index, "score": round(score.score, 6)} for score in prediction.top]
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
    """Writes one JSON object per line and flushes each line. The caller closes the stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, result: Result, /) -> None:
        """Write a result; see `write_text` for the exceptions."""
        write_text(self._stream, json.dumps(result_record(result)) + "\n")

    def on_event(self, event: CameraEvent, /) -> None:
        """Write an event; see `write_text` for the exceptions."""
        write_text(self._stream, json.dumps(event_record(event.event, event.source, event.at)) + "\n")


def write_text(stream: TextIO, text: str) -> None:
    """Write a text to a stream and flush it.

    Args:
        stream: Stream open for writing.
        text: Text to write, with its line break.

    Raises:
        StopRun: The reader closed the pipe.
        WriteError: The write failed, for example because the disk is full.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise StopRun("output closed") from None
    except OSError as error:
        raise WriteError(
            f"cannot write results: {error.strerror}; free some space or send the output elsewhere"
        ) from None
