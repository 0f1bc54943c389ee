"""A picture from a source, and the classifier's prediction for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from edgecnn.core.preprocess import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture as its source delivered it."""

    pixels: Image
    """uint8 `[height, width, 3]`, RGB."""
    source: str
    """Name of the source, safe to print: it contains no password."""
    number: int
    """Position within the source, counted from 0; dropped frames count too."""
    captured_at: float
    """Unix time in seconds at which the picture was complete."""
    captured_ns: int
    """The same moment on the monotonic clock (`time.monotonic_ns`), to compute ages from."""
    capture_ms: float
    """Time spent on reading and decoding the picture, in milliseconds."""


class PreparedFrame(NamedTuple):
    """Output of `Preprocessor` for a frame; another thread may have computed it."""

    pixels: Image
    """uint8 `[height, width, channels]`, in the model's input size."""
    spent_ms: float
    """Time spent on the preprocessing, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Score:
    """A class and its probability."""

    label: str
    index: int
    """Position on the model's output axis."""
    score: float
    """Probability, 0 to 1."""


class StageLatency(NamedTuple):
    """Time spent on one frame by stage, in milliseconds."""

    preprocess: float
    invoke: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The best classes of a frame."""

    top: tuple[Score, ...]
    """Best class first; of equal scores, the lower index comes first.

    If a class has a decision threshold, the first entry is the class that the threshold decides on, and the others
    follow.
    """
    latency_ms: StageLatency

    @property
    def best(self) -> Score:
        """The class that is decided on."""
        return self.top[0]
