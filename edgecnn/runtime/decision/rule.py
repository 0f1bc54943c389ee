"""`DecisionSettings` worked out for the classes of one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.decision_settings import DecisionSettings, Smoothing
from edgecnn.core.errors import UnknownName
from edgecnn.core.labels import LabelMap


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


def decision_rule(settings: DecisionSettings, labels: LabelMap) -> DecisionRule:
    """Settings for the model with these labels. Raises `UnknownName` for thresholds of a class that it does not have.

    A label that several classes share sets the thresholds of them all.
    """
    for label in settings.classes:
        if label not in labels.names:
            raise UnknownName("class with thresholds", label, labels)
    thresholds = [settings.thresholds(label) for label in labels]
    return DecisionRule(
        labels=labels,
        enter=np.array([threshold.enter_score for threshold in thresholds], np.float32),
        leave=np.array([threshold.leave for threshold in thresholds], np.float32),
        min_margin=settings.min_margin,
        max_entropy=settings.max_entropy,
        smoothing=settings.smoothing,
        half_life_ns=_ns(settings.half_life_s),
        window_ns=_ns(settings.window_s),
        enter_after_ns=_ns(settings.enter_after_s),
        leave_after_ns=_ns(settings.leave_after_s),
        hold_ns=_ns(settings.hold_s),
    )


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
