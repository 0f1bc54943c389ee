"""`--every`: at most one result per interval, measured by the frames' own timestamps."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Pace:
    """The minimum interval between frames that pass, and when the last one passed. Each camera has its own."""

    every_ns: int
    """Minimum interval in nanoseconds."""
    passed_ns: int | None = None
    """Monotonic time of the last frame that passed, in nanoseconds; None before the first."""


def pace(every_s: float) -> Pace:
    """Return the initial pace for a minimum interval.

    Args:
        every_s: Minimum interval between frames that pass, in seconds; 0 lets every frame pass.

    Returns:
        A pace that no frame has passed yet.

    Raises:
        InputError: The interval is negative or not finite.
    """
    if not 0 <= every_s < float("inf"):
        raise InputError(f"expected every of 0 or more seconds, got {every_s:g}; leave it out to use every frame")
    return Pace(round(every_s * 1e9))


def step_pace(last: Pace, at_ns: int) -> tuple[Pace, bool]:
    """Decide if a frame passes.

    Two frames that pass are never closer than the interval. With an interval close to the camera's own, only every
    second frame passes, because frames arrive slightly early or late.

    Args:
        last: Pace before this frame.
        at_ns: Monotonic time of the frame in nanoseconds.

    Returns:
        The pace after this frame, and True if the frame passes. If the frame is later rejected for another reason, it
        must not count: keep `last` instead of the returned pace.
    """
    if last.passed_ns is not None and at_ns - last.passed_ns < last.every_ns:
        return last, False
    return Pace(last.every_ns, at_ns), True
