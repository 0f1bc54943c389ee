"""Which class scores decide on, where one class must not be missed.

The class is decided on as soon as it scores its threshold, however the others score; otherwise the best of the others
is. Whoever turns scores into a decision does it here: the classifier, the decisions over time, and what measures them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.model_file.card import ModelCard
from edgecnn.runtime.inference.tensors import best_indices


class Threshold(NamedTuple):
    """The class of this index is decided on from a probability of `least` on."""

    class_index: int
    minimum: float


def threshold_of(card: ModelCard | None) -> Threshold | None:
    """The threshold that a model file carries, whatever the user calls its classes."""
    if card is None or card.threshold is None:
        return None
    return Threshold(card.labels.index(card.threshold.label), card.threshold.threshold)


def decided(scores: NDArray[Any], threshold: Threshold | None) -> int:
    """The class that `[classes]` scores decide on; ties go to the lower index.

    With a threshold there are two classes at least and the scores are probabilities; without, any scores will do.
    """
    if threshold is None:
        return int(scores.argmax())
    index, minimum = threshold
    if scores[index] >= minimum:
        return index
    other = int(np.delete(scores, index).argmax())
    return other + (other >= index)


def ranked(scores: NDArray[Any], count: int, threshold: Threshold | None) -> NDArray[np.intp]:
    """The `count` best of `[classes]` scores: the one that is decided on, then the others, largest first."""
    if threshold is None:
        return best_indices(scores, count)
    first = decided(scores, threshold)
    order = best_indices(scores, len(scores))
    return np.concatenate(([first], order[order != first]))[:count]
