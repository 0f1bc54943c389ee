"""Video that keeps the time of its camera: which result gets which frames."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_GAP_S = 1.0
"""A longer time without results, as while a camera is lost, takes so long in the video."""


@dataclass(frozen=True, slots=True)
class VideoTime:
    """How far a video has come in the time of its camera."""

    start_ns: int
    """The monotonic time of the first frame, later by what gaps were shortened by."""
    last_ns: int
    """That of the last result."""
    frames: int
    """In the video so far."""


def step_video(before: VideoTime | None, at_ns: int, fps: float) -> tuple[VideoTime, int, bool]:
    """Goes on to the result of a picture of monotonic time `at_ns`; `before` is None for the first.

    Returns where the video is then, how many frames more show the picture before, and whether this one gets a frame: it
    does not if its time has one already.
    """
    if before is None:
        return VideoTime(at_ns, at_ns, 1), 0, True
    cut_ns = max(0, at_ns - before.last_ns - round(LONGEST_GAP_S * 1e9))
    start_ns, last_ns = before.start_ns + cut_ns, max(at_ns, before.last_ns)
    place = round((at_ns - start_ns) * fps / 1e9)
    if place < before.frames:
        return VideoTime(start_ns, last_ns, before.frames), 0, False
    return VideoTime(start_ns, last_ns, place + 1), place - before.frames, True
