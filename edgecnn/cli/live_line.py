"""Terminal output of `edgecnn run`: one line that is rewritten in place."""

from __future__ import annotations

import os
import time
from typing import TextIO

from edgecnn.core.frame import Score
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.sinks import CameraEvent, FrameRate, Result, write_text

_REDRAW_S = 0.1


class LiveLine(Closeable):
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
            write_text(self._stream, line + "\n")
            return
        self._latest = line
        # Faster than the eye follows, a terminal only costs time, over ssh above all.
        if time.perf_counter() - self._drawn_s >= _REDRAW_S:
            self._draw()

    def on_event(self, event: CameraEvent, /) -> None:
        """Events stay on the terminal, above the line."""
        self.close()
        score = event.event.score
        write_text(self._stream, _fit_for(self._stream, f"{event.event.kind} {score.label} {score.score:.1%}") + "\n")

    def close(self) -> None:
        """Leaves the last result on the terminal and the cursor below it."""
        if self._latest:
            self._draw()
            self._latest = ""
            write_text(self._stream, "\n")

    def _draw(self) -> None:
        # A line that wraps could not be rewritten; the last column is left free, as some terminals wrap at it.
        write_text(self._stream, f"\r{self._latest[: _columns(self._stream) - 1]}\x1b[K")
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
