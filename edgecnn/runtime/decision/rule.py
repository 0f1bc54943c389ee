"""`DecisionSettings` resolved for the classes of one model."""

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
    """Thresholds and times that every decision step uses. Cameras that share a model share its rule."""

    labels: LabelMap
    enter: NDArray[np.float32]
    """`[classes]` minimum score at which a class is clear."""
    leave: NDArray[np.float32]
    """`[classes]` minimum score at which the current class still counts as observed."""
    min_margin: float
    max_entropy: float
    smoothing: Smoothing
    half_life_ns: int
    window_ns: int
    enter_after_ns: int
    leave_after_ns: int
    hold_ns: int
    threshold: Threshold | None
    """Threshold of the class that must not be missed; None if there is none."""


def decision_rule(settings: DecisionSettings, labels: LabelMap, threshold: Threshold | None = None) -> DecisionRule:
    """Resolve settings for one model.

    Args:
        settings: Settings by label. A label that several classes share sets the thresholds of all of them.
        labels: Labels of the model.
        threshold: Threshold of the model's class that must not be missed; None if there is none.

    Returns:
        The rule, with thresholds by class index and times in nanoseconds.

    Raises:
        UnknownName: The settings name a class that the model does not have.
    """
    for label in settings.classes:
        if label not in labels.names:
            raise UnknownName("class with thresholds", label, labels)
    thresholds = [_class_thresholds(settings, index, label, threshold) for index, label in enumerate(labels)]
    return DecisionRule(
        labels=labels,
        enter=np.array([scores.enter_score for scores in thresholds], np.float32),
        leave=np.array([scores.leave for scores in thresholds], np.float32),
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


def _class_thresholds(
    settings: DecisionSettings, index: int, label: str, threshold: Threshold | None
) -> ScoreThresholds:
    """Return the scores that a class needs.

    Scores that the user did not set follow the model's threshold. That threshold moves the score at which one class
    takes over from another, so a class that it decides on could otherwise be impossible to enter.
    """
    if threshold is None or label in settings.classes or "enter_score" in settings.model_fields_set:
        return settings.thresholds(label)
    # The other classes are decided on when they score more than 1 - minimum together.
    enter = threshold.minimum if index == threshold.class_index else min(settings.enter_score, 1 - threshold.minimum)
    leave = None if settings.leave_score is None else min(settings.leave_score, enter)
    return ScoreThresholds(enter_score=enter, leave_score=leave)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
