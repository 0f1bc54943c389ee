"""Minimum times: what is seen becomes what is held when it lasts, and every change is an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edgecnn.core.frame import Score
from edgecnn.core.labels import LabelMap
from edgecnn.runtime.decision.observation import UNKNOWN, UNKNOWN_LABEL, Observation
from edgecnn.runtime.decision.rule import DecisionRule


@dataclass(frozen=True, slots=True)
class Event:
    """Something was entered or left: a class, or `UNKNOWN`. Of one camera the two kinds alternate."""

    kind: Literal["entered", "left"]
    score: Score
    """With the label; of `left`, the score it was last seen with."""
    at_ns: int
    """The monotonic time of the frame that decided it."""
    duration_ns: int | None
    """Of `left`: since it was entered."""


@dataclass(frozen=True, slots=True)
class Held:
    """What was entered and not left yet."""

    observation: Observation
    """As it was last seen."""
    since_ns: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held, and since when something else is seen."""

    held: Held | None = None
    rival: int | None = None
    """What is seen in place of the held, or before there is one."""
    rival_since_ns: int = 0
    unseen_since_ns: int = 0
    """Since when, by one rival or several; both times count only with a rival."""

    @property
    def index(self) -> int | None:
        return None if self.held is None else self.held.observation.index


def apply_hysteresis(
    rule: DecisionRule, holding: Holding, observation: Observation, at_ns: int
) -> tuple[Holding, tuple[Event, ...]]:
    """One step: what is seen at `at_ns` either confirms what is held, waits, or takes its place."""
    held = holding.held
    if held is not None and observation.index == held.observation.index:
        return Holding(Held(observation, held.since_ns)), ()
    waiting = Holding(
        held,
        rival=observation.index,
        rival_since_ns=holding.rival_since_ns if holding.rival == observation.index else at_ns,
        unseen_since_ns=at_ns if holding.rival is None else holding.unseen_since_ns,
    )
    settled = at_ns - waiting.rival_since_ns >= rule.enter_after_ns
    if held is not None and not _may_leave(rule, held, waiting, settled, at_ns):
        return waiting, ()
    left = () if held is None else (left_event(rule.labels, held, at_ns),)
    if settled:
        return Holding(Held(observation, at_ns)), (
            *left,
            Event("entered", score_of(rule.labels, observation), at_ns, None),
        )
    return Holding(None, waiting.rival, waiting.rival_since_ns, at_ns), left


def _may_leave(rule: DecisionRule, held: Held, waiting: Holding, settled: bool, at_ns: int) -> bool:
    if at_ns - held.since_ns < rule.hold_ns:
        return False
    # Another class that is clear needs no second waiting time; not seeing anything clearly does.
    replaced = settled and waiting.rival != UNKNOWN
    return replaced or at_ns - waiting.unseen_since_ns >= rule.leave_after_ns


def left_event(labels: LabelMap, held: Held, at_ns: int) -> Event:
    """The end of what is held."""
    return Event("left", score_of(labels, held.observation), at_ns, at_ns - held.since_ns)


def score_of(labels: LabelMap, observation: Observation) -> Score:
    """A sight with its label."""
    return Score(
        UNKNOWN_LABEL if observation.index == UNKNOWN else labels[observation.index],
        observation.index,
        observation.score,
    )


def event_record(event: Event, source: str, at: float) -> dict[str, Any]:
    """The JSON object of an event of the camera `source`; `at` is its time as Unix seconds."""
    return {
        "event": event.kind,
        "source": source,
        "at": round(at, 6),
        "label": event.score.label,
        "index": event.score.index,
        "score": round(event.score.score, 6),
        "duration_s": None if event.duration_ns is None else round(event.duration_ns / 1e9, 3),
    }
