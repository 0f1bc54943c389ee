"""`--every`: at most one result in so many seconds, by the frames' own times."""

from __future__ import annotations

from dataclasses import dataclass

from edgecnn.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Pace:
    """How often frames pass, and when the last one did; one for each camera."""

    every_ns: int
    passed_ns: int | None = None


def pace(every_s: float) -> Pace:
    """Lets one frame pass in `every_s` seconds; 0 lets all. Raises `InputError`."""
    if not 0 <= every_s < float("inf"):
        raise InputError(f"expected every as seconds of 0 or more, got {every_s:g}; leave it out for every frame")
    return Pace(round(every_s * 1e9))


def step_pace(last: Pace, at_ns: int) -> tuple[Pace, bool]:
    """Whether the frame of monotonic time `at_ns` passes, and the pace to go on with if it does.

    No two frames pass less than `every_s` apart. Near the camera's own interval that means every second frame, as
    frames come a little early or late. A frame that is refused for another reason later on should not count: then keep
    `last`.
    """
    if last.passed_ns is not None and at_ns - last.passed_ns < last.every_ns:
        return last, False
    return Pace(last.every_ns, at_ns), True
