"""Where results go: what a sink is given, and the two that write text."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TextIO

from edgecnn.core.errors import WriteError
from edgecnn.core.frame import Frame, Prediction, Score
from edgecnn.runtime.closing import Closing
from edgecnn.runtime.decision import Decision, Event, event_record

Ended = Literal[
    "end of source", "max frames", "stopped", "interrupted", "camera lost", "window closed", "output closed"
]
"""Why a run came to its end; "output closed" is what `| head` does."""

_REDRAW_S = 0.1


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

    def tell(self, event: CameraEvent, /) -> None:
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
        _write(self._stream, json.dumps(result_record(result)) + "\n")

    def tell(self, event: CameraEvent, /) -> None:
        _write(self._stream, json.dumps(event_record(event.event, event.source, event.at)) + "\n")


class LiveLine(Closing):
    """Writes results for people: one line that is rewritten on a terminal, a line per result anywhere else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._rate = FrameRate()
        self._latest = ""
        self._drawn_s = float("-inf")

    def __call__(self, result: Result, /) -> None:
        line = _fit_for(self._stream, _readable(result, self._rate.tick()))
        if not self._terminal:
            _write(self._stream, line + "\n")
            return
        self._latest = line
        # Faster than the eye follows, a terminal only costs time, over ssh above all.
        if time.perf_counter() - self._drawn_s >= _REDRAW_S:
            self._draw()

    def tell(self, event: CameraEvent, /) -> None:
        """Events stay on the terminal, above the line."""
        self.close()
        score = event.event.score
        _write(self._stream, _fit_for(self._stream, f"{event.event.kind} {score.label} {score.score:.1%}") + "\n")

    def close(self) -> None:
        """Leaves the last result on the terminal and the cursor below it."""
        if self._latest:
            self._draw()
            self._latest = ""
            _write(self._stream, "\n")

    def _draw(self) -> None:
        # A line that wraps could not be rewritten; the last column is left free, as some terminals wrap at it.
        _write(self._stream, f"\r{self._latest[: _columns(self._stream) - 1]}\x1b[K")
        self._drawn_s = time.perf_counter()


def _readable(result: Result, per_second: float) -> str:
    frame, best = result.frame, _shown(result)
    return (
        f"{best.label} {best.score:.1%}  {per_second:.1f} fps  age {result.age_ms:.0f} ms  dropped {result.dropped}"
        f"  {frame.source} #{frame.number}"
    )


def _shown(result: Result) -> Score:
    """What has been decided, where decisions are made and there is one by now."""
    if result.decision is not None and result.decision.current is not None:
        return result.decision.current
    return result.prediction.best


def _fit_for(stream: TextIO, text: str) -> str:
    """The text without what the stream cannot encode, and without control characters, which drive a terminal."""
    encoding = stream.encoding or "utf-8"
    encodable = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(character if character.isprintable() else "?" for character in encodable)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise StopRun("output closed") from None
    except OSError as error:
        raise WriteError(
            f"cannot write results: {error.strerror}; free some space or send the output elsewhere"
        ) from None
