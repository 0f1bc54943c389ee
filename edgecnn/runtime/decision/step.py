"""One camera's decisions as a pure step: state and observation in, state and decision out. There is no clock here."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Score
from edgecnn.runtime.decision.hysteresis import Event, Holding, apply_hysteresis, left_event, score_of
from edgecnn.runtime.decision.observation import classify_observation
from edgecnn.runtime.decision.rule import DecisionRule
from edgecnn.runtime.decision.smoothing import Vote, exponential, in_window, majority_vote

_ROUNDING = 1e-3
"""By so much a dequantized probability may miss 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class DecisionState:
    """What one camera's past amounts to; without arguments, that of a camera that was just opened."""

    at_ns: int | None = None
    """The last frame's monotonic time."""
    average: NDArray[np.float32] | None = None
    """`[classes]`, of exponential smoothing."""
    votes: tuple[Vote, ...] = ()
    """Of majority smoothing."""
    holding: Holding = field(default_factory=Holding)
    settled: bool = False
    """The last frame by itself shows what is held, so that more frames like it would change nothing.

    As long as it is False no frame should be skipped for showing no motion: a change would wait for the next motion.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What a frame changes, and what holds after it."""

    current: Score | None
    """What is decided, with the score it was last seen with; None as long as nothing lasted."""
    since_ns: int | None
    """When `current` was entered."""
    seen: Score
    """What smoothing and thresholds say, before minimum times."""
    probabilities: NDArray[np.float32]
    """`[classes]` float32 after exponential smoothing; without it, the frame's own."""
    events: tuple[Event, ...]
    """In order: none, `left`, `entered`, or both at the same time."""


def decide(
    rule: DecisionRule, state: DecisionState, probabilities: NDArray[np.float32], at_ns: int
) -> tuple[DecisionState, Decision]:
    """Takes in the `[classes]` float32 probabilities of the frame of monotonic time `at_ns`.

    The array is kept, not copied: it must not be written to again. Raises `InputError` for what is no vector of
    probabilities of the rule's classes, and for a time before the last one's.
    """
    _check(rule, state, probabilities, at_ns)
    average = _smoothed(rule, state, probabilities, at_ns)
    observation = alone = classify_observation(rule, average, state.holding.index)
    votes: tuple[Vote, ...] = ()
    if rule.smoothing == "majority":
        votes = (*in_window(state.votes, at_ns, rule.window_ns), Vote(at_ns, alone))
        observation = majority_vote(votes, state.holding.index)
    holding, events = apply_hysteresis(rule, state.holding, observation, at_ns)
    if average is not probabilities:
        alone = classify_observation(rule, probabilities, holding.index)
    settled = holding.rival is None and alone.index == holding.index
    current = holding.held
    decision = Decision(
        current=None if current is None else score_of(rule.labels, current.observation),
        since_ns=None if current is None else current.since_ns,
        seen=score_of(rule.labels, observation),
        probabilities=average,
        events=events,
    )
    kept = average if rule.smoothing == "exponential" else None
    return DecisionState(at_ns, kept, votes, holding, settled), decision


def finish(rule: DecisionRule, state: DecisionState, at_ns: int) -> tuple[DecisionState, tuple[Event, ...]]:
    """Leaves what is held, because the camera is lost or the run ends, and starts afresh."""
    held = state.holding.held
    return DecisionState(), () if held is None else (left_event(rule.labels, held, at_ns),)


def _smoothed(
    rule: DecisionRule, state: DecisionState, probabilities: NDArray[np.float32], at_ns: int
) -> NDArray[np.float32]:
    if state.average is None or state.at_ns is None:
        return probabilities
    return exponential(state.average, probabilities, at_ns - state.at_ns, rule.half_life_ns)


def _check(rule: DecisionRule, state: DecisionState, probabilities: NDArray[np.float32], at_ns: int) -> None:
    if probabilities.shape != rule.enter.shape:
        raise InputError(
            f"expected probabilities of {len(rule.enter)} classes, got an array of shape {probabilities.shape}; "
            "make the decision rule from the same model's labels"
        )
    low, high = float(probabilities.min()), float(probabilities.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise InputError(
            f"expected probabilities of 0 to 1, got {low:g} to {high:g}; use a model that ends in a softmax"
        )
    if state.at_ns is not None and at_ns < state.at_ns:
        raise InputError(
            f"expected frames in order of time, got {at_ns} ns after {state.at_ns} ns; keep one state for each camera"
        )
