"""One camera's decisions as a pure function from state and observation to state and decision. It reads no clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError
from edgecnn.core.frame import Score
from edgecnn.runtime.decision.hysteresis import Event, HysteresisState, apply_hysteresis, left_event, score_of
from edgecnn.runtime.decision.observation import classify_observation
from edgecnn.runtime.decision.rule import DecisionRule
from edgecnn.runtime.decision.smoothing import Vote, exponential, in_window, majority_vote

_ROUNDING = 1e-3
"""Tolerance by which dequantized probabilities may lie outside 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class DecisionState:
    """Everything that a camera's past contributes to its next decision.

    Without arguments, it is the state of a camera that was just opened.
    """

    at_ns: int | None = None
    """Monotonic time of the last frame, in nanoseconds; None before the first."""
    average: NDArray[np.float32] | None = None
    """`[classes]` average of exponential smoothing; None without it."""
    votes: tuple[Vote, ...] = ()
    """Votes of majority smoothing, oldest first."""
    hysteresis: HysteresisState = field(default_factory=HysteresisState)
    settled: bool = False
    """True if the last frame on its own shows the current class, so that more frames like it would change nothing.

    While it is False, no frame may be skipped for lack of motion. The pending change would otherwise wait for the next
    motion.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The decision after a frame, and the changes that the frame caused."""

    current: Score | None
    """Current class with the score of its last observation; None if nothing has lasted long enough."""
    since_ns: int | None
    """Monotonic time when `current` was entered, in nanoseconds."""
    seen: Score
    """Result of smoothing and thresholds, before minimum times apply."""
    probabilities: NDArray[np.float32]
    """`[classes]` float32 after exponential smoothing; without it, the frame's own probabilities."""
    events: tuple[Event, ...]
    """Events in order: none, `left`, `entered`, or `left` and `entered` at the same time."""


def decide(
    rule: DecisionRule, state: DecisionState, probabilities: NDArray[np.float32], at_ns: int
) -> tuple[DecisionState, Decision]:
    """Process the probabilities of one frame.

    Args:
        rule: Decision rule of the model.
        state: State after the previous frame of the same camera.
        probabilities: `[classes]` float32. The array is kept, not copied, so it must not be modified afterwards.
        at_ns: Monotonic time of the frame in nanoseconds.

    Returns:
        The state after this frame, and the decision.

    Raises:
        InputError: The array is not a vector of probabilities for the rule's classes, or the frame is older than the
            previous one.
    """
    _check(rule, state, probabilities, at_ns)
    average = _smooth(rule, state, probabilities, at_ns)
    previous = state.hysteresis.current_index
    observation = frame_observation = classify_observation(rule, average, previous)
    votes: tuple[Vote, ...] = ()
    if rule.smoothing == "majority":
        votes = (*in_window(state.votes, at_ns, rule.window_ns), Vote(at_ns, frame_observation))
        observation = majority_vote(votes, previous)
    hysteresis, events = apply_hysteresis(rule, state.hysteresis, observation, at_ns)
    if average is not probabilities:
        frame_observation = classify_observation(rule, probabilities, hysteresis.current_index)
    settled = hysteresis.candidate is None and frame_observation.index == hysteresis.current_index
    current = hysteresis.current
    decision = Decision(
        current=None if current is None else score_of(rule.labels, current.observation),
        since_ns=None if current is None else current.since_ns,
        seen=score_of(rule.labels, observation),
        probabilities=average,
        events=events,
    )
    kept_average = average if rule.smoothing == "exponential" else None
    return DecisionState(at_ns, kept_average, votes, hysteresis, settled), decision


def finish(rule: DecisionRule, state: DecisionState, at_ns: int) -> tuple[DecisionState, tuple[Event, ...]]:
    """Leave the current class because the camera is lost or the run ends.

    Args:
        rule: Decision rule of the model.
        state: State after the last frame.
        at_ns: Monotonic time of the end in nanoseconds.

    Returns:
        A fresh state, and the event `left` if there was a current class.
    """
    current = state.hysteresis.current
    return DecisionState(), () if current is None else (left_event(rule.labels, current, at_ns),)


def _smooth(
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
            f"expected frames in chronological order, got {at_ns} ns after {state.at_ns} ns; keep one state per camera"
        )
