"""`DecisionSettings` worked out for the classes of one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import UnknownName
from edgecnn.core.labels import LabelMap
from edgecnn.core.settings.decision import DecisionSettings, ScoreThresholds, Smoothing
from edgecnn.runtime.inference.threshold import Threshold


@dataclass(frozen=True, slots=True, eq=False)
class DecisionRule:
    """What every step needs to know; cameras that share a model share its rule."""

    labels: LabelMap
    enter: NDArray[np.float32]
    """`[classes]` scores from which on a class is clear."""
    leave: NDArray[np.float32]
    """`[classes]` scores down to which a class that was decided on still counts as seen."""
    min_margin: float
    max_entropy: float
    smoothing: Smoothing
    half_life_ns: int
    window_ns: int
    enter_after_ns: int
    leave_after_ns: int
    hold_ns: int
    threshold: Threshold | None
    """Of the class that must not be missed."""


def decision_rule(settings: DecisionSettings, labels: LabelMap, threshold: Threshold | None = None) -> DecisionRule:
    """Settings for the model with these labels. Raises `UnknownName` for thresholds of a class that it does not have.

    A label that several classes share sets the thresholds of them all. `threshold` is the model's own.
    """
    for label in settings.classes:
        if label not in labels.names:
            raise UnknownName("class with thresholds", label, labels)
    scores = [_thresholds(settings, index, label, threshold) for index, label in enumerate(labels)]
    return DecisionRule(
        labels=labels,
        enter=np.array([each.enter_score for each in scores], np.float32),
        leave=np.array([each.leave for each in scores], np.float32),
        min_margin=settings.min_margin,
        max_entropy=settings.max_entropy,
        smoothing=settings.smoothing,
        half_life_ns=_ns(settings.half_life_s),
        window_ns=_ns(settings.window_s),
        enter_after_ns=_ns(settings.enter_after_s),
        leave_after_ns=_ns(settings.leave_after_s),
        hold_ns=_ns(settings.hold_s),
        threshold=threshold,
    )


def _thresholds(settings: DecisionSettings, index: int, label: str, threshold: Threshold | None) -> ScoreThresholds:
    """What a class must score. Where nobody has set it, it moves with the model's threshold, which moves the score at
    which one class gives way to another: what is decided on can then be entered."""
    if threshold is None or label in settings.classes or "enter_score" in settings.model_fields_set:
        return settings.thresholds(label)
    # The others are decided on when they have more than 1 - least together.
    enter = threshold.minimum if index == threshold.class_index else min(settings.enter_score, 1 - threshold.minimum)
    leave = None if settings.leave_score is None else min(settings.leave_score, enter)
    return ScoreThresholds(enter_score=enter, leave_score=leave)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
