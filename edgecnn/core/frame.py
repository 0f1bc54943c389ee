"""One picture from a source, and what the classifier said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgecnn.core.preprocess import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture as it left its source."""

    pixels: Image
    """uint8 HWC RGB."""
    source: str
    """Where it came from, fit to be printed: no password in it."""
    number: int
    """Counts from 0 within its source, frames that were dropped included."""
    captured_at: float
    """Unix time in seconds when the picture was complete."""
    captured_ns: int
    """The same moment on the monotonic clock (`time.monotonic_ns`), for ages."""
    capture_ms: float
    """Time spent on reading and decoding it."""


class PreparedFrame(NamedTuple):
    """What `Preprocessor` makes of a frame, be it in another thread."""

    pixels: Image
    """uint8 `[height, width, channels]`, of the model's size."""
    spent_ms: float
    """Time spent on it."""


@dataclass(frozen=True, slots=True)
class Score:
    """A class and its probability."""

    label: str
    index: int
    score: float


class StageLatency(NamedTuple):
    """Milliseconds spent on one frame, by stage."""

    preprocess: float
    invoke: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The best classes of a frame, best first; ties go to the lower index.

    Where a class has a threshold, the first is what it decides on, and the others follow.
    """

    top: tuple[Score, ...]
    latency_ms: StageLatency

    @property
    def best(self) -> Score:
        return self.top[0]
