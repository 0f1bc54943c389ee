"""Classification of one vector of probabilities: a class, or `UNKNOWN`.

Score, margin and entropy are the measures that a softmax output allows. The free energy of Liu et al. 2020
("Energy-based Out-of-distribution Detection"), -T log sum exp(logit / T), is not among them. Softmax subtracts
log sum exp(logit) from every logit, so from log-probabilities the energy at T = 1 is 0 for any image. At another T, it
is a function of the probabilities alone (a Renyi entropy), without the absolute level of the logits that the method
relies on. The largest logit is lost in the same way; the largest log-probability, which remains, orders images exactly
as the score does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.runtime.decision.rule import DecisionRule
from edgecnn.runtime.inference.threshold import decided

UNKNOWN = -1
"""Index of an observation that is none of the classes, or not clearly one of them."""

UNKNOWN_LABEL = "unknown"


@dataclass(frozen=True, slots=True)
class Observation:
    """A class observed in one frame, before any minimum time applies."""

    index: int
    """Index of the class, or `UNKNOWN`."""
    score: float
    """Probability of the class; for `UNKNOWN`, that of the best class, which was not clear."""


def classify_observation(rule: DecisionRule, probabilities: NDArray[np.float32], current: int | None) -> Observation:
    """Return the class that a vector of probabilities shows.

    It is the best class if that is clear; with a threshold in the rule, the class that must not be missed may be
    decided on instead of the best. Otherwise, it is the current class as long as that scores at least its `leave`
    score. Otherwise, it is `UNKNOWN`.

    Args:
        rule: Scores that decide if a class is clear.
        probabilities: `[classes]` float32.
        current: Index of the current class, `UNKNOWN`, or None if there is none.

    Returns:
        The observed class and its score.
    """
    best = decided(probabilities, rule.threshold)
    score = float(probabilities[best])
    if _is_clear(rule, probabilities, best):
        return Observation(best, score)
    if current is not None and current != UNKNOWN and probabilities[current] >= rule.leave[current]:
        return Observation(current, float(probabilities[current]))
    return Observation(UNKNOWN, score)


def _is_clear(rule: DecisionRule, probabilities: NDArray[np.float32], best: int) -> bool:
    return bool(
        probabilities[best] >= rule.enter[best]
        and (rule.min_margin == 0 or margin(probabilities) >= rule.min_margin)
        and (rule.max_entropy == 1 or normalized_entropy(probabilities) <= rule.max_entropy)
    )


def margin(probabilities: NDArray[np.float32]) -> float:
    """Return the difference between the best and the second-best probability.

    Args:
        probabilities: `[classes]` float32.

    Returns:
        The margin, between 0 and 1; with a single class, the probability of that class.
    """
    if len(probabilities) == 1:
        return float(probabilities[0])
    second, best = np.partition(probabilities, -2)[-2:]
    return float(best - second)


def normalized_entropy(probabilities: NDArray[np.float32]) -> float:
    """Return Shannon's entropy, -sum p log p, divided by its maximum log(classes).

    Eight-bit outputs round small probabilities to 0. The amount that is missing from a sum of 1 is therefore spread
    over all classes. Otherwise, a thousand equal classes, which are all rounded to 0, would look certain.

    Args:
        probabilities: `[classes]` float32.

    Returns:
        0 if one class is certain, 1 if all probabilities are equal.
    """
    classes = len(probabilities)
    if classes == 1:
        return 0.0
    completed = probabilities.astype(np.float64)
    completed += max(0.0, 1.0 - completed.sum()) / classes
    completed /= completed.sum()
    positive = completed[completed > 0]
    return max(0.0, float(-(positive * np.log(positive)).sum()) / math.log(classes))
