"""What one vector of probabilities shows: a class, or nothing that is known.

Score, margin and entropy are what a softmax output leaves to judge by. The free energy of Liu et al. 2020
("Energy-based Out-of-distribution Detection"), -T log sum exp(logit / T), is not: softmax subtracts log sum exp(logit)
from every logit, so that from log-probabilities the energy at T = 1 is 0 for any image, and at another T a function of
the probabilities alone (a Renyi entropy), without the absolute level of the logits that the method rests on. The
largest logit is lost the same way; the largest log-probability that remains orders images exactly as the score does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.runtime.decision.rule import DecisionRule
from edgecnn.runtime.inference.threshold import decided

UNKNOWN = -1
"""The index of what is none of the classes, or not clearly one."""

UNKNOWN_LABEL = "unknown"


@dataclass(frozen=True, slots=True)
class Observation:
    """What is seen, before any minimum time."""

    index: int
    """Of a class, or `UNKNOWN`."""
    score: float
    """Its probability; for `UNKNOWN` that of the class decided on, which was not clear."""


def classify_observation(rule: DecisionRule, probabilities: NDArray[np.float32], held: int | None) -> Observation:
    """What `[classes]` float32 probabilities show, where `held` is what was decided on so far.

    The best class, or by the rule's threshold the one that must not be missed, if it is clear; else the held one while
    it scores its `leave`; else `UNKNOWN`.
    """
    best = decided(probabilities, rule.threshold)
    score = float(probabilities[best])
    if _is_clear(rule, probabilities, best):
        return Observation(best, score)
    if held is not None and held != UNKNOWN and probabilities[held] >= rule.leave[held]:
        return Observation(held, float(probabilities[held]))
    return Observation(UNKNOWN, score)


def _is_clear(rule: DecisionRule, probabilities: NDArray[np.float32], best: int) -> bool:
    return bool(
        probabilities[best] >= rule.enter[best]
        and (rule.min_margin == 0 or margin(probabilities) >= rule.min_margin)
        and (rule.max_entropy == 1 or normalized_entropy(probabilities) <= rule.max_entropy)
    )


def margin(probabilities: NDArray[np.float32]) -> float:
    """Best minus second-best probability; of a single class its probability."""
    if len(probabilities) == 1:
        return float(probabilities[0])
    second, best = np.partition(probabilities, -2)[-2:]
    return float(best - second)


def normalized_entropy(probabilities: NDArray[np.float32]) -> float:
    """Shannon's entropy, -sum p log p, over its maximum log(classes): 0 is certain, 1 is equal probabilities.

    Eight-bit outputs round small probabilities to 0. What is missing from a sum of 1 is spread over all classes:
    otherwise a thousand equal classes, all of them rounded to 0, would pass as certain.
    """
    classes = len(probabilities)
    if classes == 1:
        return 0.0
    whole = probabilities.astype(np.float64)
    whole += max(0.0, 1.0 - whole.sum()) / classes
    whole /= whole.sum()
    positive = whole[whole > 0]
    return max(0.0, float(-(positive * np.log(positive)).sum()) / math.log(classes))
