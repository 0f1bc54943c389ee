"""Video that keeps the time of its camera: assignment of results to video frames."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_GAP_S = 1.0
"""Duration in the video of any longer time without results, for example while a camera is lost."""


@dataclass(frozen=True, slots=True)
class VideoTime:
    """Position of a video in the time of its camera."""

    start_ns: int
    """Monotonic time of the first frame, plus the time by which gaps were shortened."""
    last_ns: int
    """Monotonic time of the last result."""
    frames: int
    """Number of frames in the video so far."""


def step_video(before: VideoTime | None, at_ns: int, fps: float) -> tuple[VideoTime, int, bool]:
    """Advance the video to a result.

    Args:
        before: Position before the result; None for the first one.
        at_ns: Monotonic time of the picture.
        fps: Frames per second of the video.

    Returns:
        The new position, how many more frames show the previous picture, and whether the new picture gets a frame: it
        does not if its time already has one.
    """
    if before is None:
        return VideoTime(at_ns, at_ns, 1), 0, True
    cut_ns = max(0, at_ns - before.last_ns - round(LONGEST_GAP_S * 1e9))
    start_ns, last_ns = before.start_ns + cut_ns, max(at_ns, before.last_ns)
    index = round((at_ns - start_ns) * fps / 1e9)
    if index < before.frames:
        return VideoTime(start_ns, last_ns, before.frames), 0, False
    return VideoTime(start_ns, last_ns, index + 1), index - before.frames, True
