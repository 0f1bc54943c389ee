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
    """Writes results for human readers: one line that is rewritten on a terminal, otherwise one line per result."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._rate = FrameRate()
        self._latest = ""
        self._drawn_s = float("-inf")

    def __call__(self, result: Result, /) -> None:
        """Write a result; on a terminal, it replaces the previous one."""
        line = _printable(self._stream, _describe(result, self._rate.tick()))
        if not self._terminal:
            write_text(self._stream, line + "\n")
            return
        self._latest = line
        # Redrawing faster than the eye can follow only costs time, above all over ssh.
        if time.perf_counter() - self._drawn_s >= _REDRAW_S:
            self._draw()

    def on_event(self, event: CameraEvent, /) -> None:
        """Write an event above the line, where it stays on the terminal."""
        self.close()
        score = event.event.score
        write_text(self._stream, _printable(self._stream, f"{event.event.kind} {score.label} {score.score:.1%}") + "\n")

    def close(self) -> None:
        """Leave the last result on the terminal and move the cursor below it."""
        if self._latest:
            self._draw()
            self._latest = ""
            write_text(self._stream, "\n")

    def _draw(self) -> None:
        # A line that wraps could not be rewritten. The last column stays empty because some terminals wrap there.
        write_text(self._stream, f"\r{self._latest[: _columns(self._stream) - 1]}\x1b[K")
        self._drawn_s = time.perf_counter()


def _describe(result: Result, per_second: float) -> str:
    frame, best = result.frame, _decided_or_best(result)
    return (
        f"{best.label} {best.score:.1%}  {per_second:.1f} fps  age {result.age_ms:.0f} ms  dropped {result.dropped}"
        f"  {frame.source} #{frame.number}"
    )


def _decided_or_best(result: Result) -> Score:
    """Return the current decision, or the best class of the frame if there is no decision yet."""
    if result.decision is not None and result.decision.current is not None:
        return result.decision.current
    return result.prediction.best


def _printable(stream: TextIO, text: str) -> str:
    """Escape what the stream cannot encode, and replace control characters, which would drive a terminal."""
    encoding = stream.encoding or "utf-8"
    encodable = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(character if character.isprintable() else "?" for character in encodable)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
