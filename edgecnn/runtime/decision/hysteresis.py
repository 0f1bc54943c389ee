"""Minimum times: an observation becomes the current one only if it lasts, and every change is an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edgecnn.core.frame import Score
from edgecnn.core.labels import LabelMap
from edgecnn.runtime.decision.observation import UNKNOWN, UNKNOWN_LABEL, Observation
from edgecnn.runtime.decision.rule import DecisionRule


@dataclass(frozen=True, slots=True)
class Event:
    """A class, or `UNKNOWN`, was entered or left. The two kinds alternate for each camera."""

    kind: Literal["entered", "left"]
    score: Score
    """Label and score; for `left`, the score of its last observation."""
    at_ns: int
    """Monotonic time of the frame that caused the event, in nanoseconds."""
    duration_ns: int | None
    """Time since it was entered, in nanoseconds; None for `entered`."""


@dataclass(frozen=True, slots=True)
class CurrentClass:
    """The class, or `UNKNOWN`, that was entered and not left yet."""

    observation: Observation
    """Its last observation."""
    since_ns: int
    """Monotonic time when it was entered, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class HysteresisState:
    """The current class, and the candidate that may replace it."""

    current: CurrentClass | None = None
    """None before anything was entered, and after a class was left without a successor."""
    candidate: int | None = None
    """Index of the class, or `UNKNOWN`, that is observed instead of the current one; None if there is none."""
    candidate_since_ns: int = 0
    """Monotonic time since which the candidate is observed without a break. It is meaningless without a candidate."""
    unseen_since_ns: int = 0
    """Monotonic time since which the current class is not observed, whatever the candidates were. It is meaningless
    without a candidate."""

    @property
    def current_index(self) -> int | None:
        """Index of the current class, `UNKNOWN`, or None if there is no current class."""
        return None if self.current is None else self.current.observation.index


def apply_hysteresis(
    rule: DecisionRule, state: HysteresisState, observation: Observation, at_ns: int
) -> tuple[HysteresisState, tuple[Event, ...]]:
    """Confirm the current class, keep it for now, or replace it.

    Args:
        rule: Minimum times and labels.
        state: State after the previous frame.
        observation: Observation in this frame.
        at_ns: Monotonic time of the frame in nanoseconds.

    Returns:
        The state after this frame, and the events that it causes: none, `left`, `entered`, or both in this order.
    """
    current = state.current
    if current is not None and observation.index == current.observation.index:
        return HysteresisState(CurrentClass(observation, current.since_ns)), ()
    pending = HysteresisState(
        current,
        candidate=observation.index,
        candidate_since_ns=state.candidate_since_ns if state.candidate == observation.index else at_ns,
        unseen_since_ns=at_ns if state.candidate is None else state.unseen_since_ns,
    )
    candidate_lasts = at_ns - pending.candidate_since_ns >= rule.enter_after_ns
    if current is not None and not _may_leave(rule, current, pending, at_ns, candidate_lasts=candidate_lasts):
        return pending, ()
    left = () if current is None else (left_event(rule.labels, current, at_ns),)
    if candidate_lasts:
        entered = Event("entered", score_of(rule.labels, observation), at_ns, None)
        return HysteresisState(CurrentClass(observation, at_ns)), (*left, entered)
    return HysteresisState(None, pending.candidate, pending.candidate_since_ns, at_ns), left


def _may_leave(
    rule: DecisionRule, current: CurrentClass, pending: HysteresisState, at_ns: int, *, candidate_lasts: bool
) -> bool:
    if at_ns - current.since_ns < rule.hold_ns:
        return False
    # Another class that is clear and lasts replaces the current one without a second wait. If nothing is clear, the
    # current class must also be unseen for `leave_after_ns`.
    replaced = candidate_lasts and pending.candidate != UNKNOWN
    return replaced or at_ns - pending.unseen_since_ns >= rule.leave_after_ns


def left_event(labels: LabelMap, current: CurrentClass, at_ns: int) -> Event:
    """Return the event that ends the current class.

    Args:
        labels: Labels of the model.
        current: The class that is left.
        at_ns: Monotonic time in nanoseconds when it is left.

    Returns:
        An event of kind `left`.
    """
    return Event("left", score_of(labels, current.observation), at_ns, at_ns - current.since_ns)


def score_of(labels: LabelMap, observation: Observation) -> Score:
    """Add the label to an observation.

    Args:
        labels: Labels of the model.
        observation: Observation of one of the model's classes, or of `UNKNOWN`.

    Returns:
        Label, index and score.
    """
    return Score(
        UNKNOWN_LABEL if observation.index == UNKNOWN else labels[observation.index],
        observation.index,
        observation.score,
    )


def event_record(event: Event, source: str, at: float) -> dict[str, Any]:
    """Return the JSON object of an event.

    Args:
        event: The event.
        source: Name of the camera.
        at: Time of the event in Unix seconds.

    Returns:
        Values that `json.dumps` accepts.
    """
    return {
        "event": event.kind,
        "source": source,
        "at": round(at, 6),
        "label": event.score.label,
        "index": event.score.index,
        "score": round(event.score.score, 6),
        "duration_s": None if event.duration_ns is None else round(event.duration_ns / 1e9, 3),
    }
