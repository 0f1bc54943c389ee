"""The decision from scores to a class, for models with a class that must not be missed.

This class is decided on as soon as it reaches its threshold, whatever the others score. Otherwise, the best of the
others is decided on. Everything that turns scores into a decision uses this module: the classifier, decisions over
time, and the code that measures them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.model_file.card import ModelCard
from edgecnn.runtime.inference.tensors import best_indices


class Threshold(NamedTuple):
    """The class that must not be missed, and the minimum probability at which it is decided on."""

    class_index: int
    minimum: float


def threshold_of(card: ModelCard | None) -> Threshold | None:
    """Return the threshold of a model file.

    It is identified by index, so it also applies if the user overrides the labels.

    Args:
        card: Model card; None for a file without one.

    Returns:
        The threshold; None if the card has none.
    """
    if card is None or card.threshold is None:
        return None
    return Threshold(card.labels.index(card.threshold.label), card.threshold.threshold)


def decided(scores: NDArray[Any], threshold: Threshold | None) -> int:
    """Return the class that scores decide on. Ties go to the lower index.

    Args:
        scores: `[classes]` vector. With a threshold, these are probabilities of at least two classes; without one, any
            values in the order of the probabilities are valid.
        threshold: Threshold of the class that must not be missed; None if there is none.

    Returns:
        Index of the class.
    """
    if threshold is None:
        return int(scores.argmax())
    index, minimum = threshold
    if scores[index] >= minimum:
        return index
    other = int(np.delete(scores, index).argmax())
    return other + (other >= index)


def ranked(scores: NDArray[Any], count: int, threshold: Threshold | None) -> NDArray[np.intp]:
    """Rank the classes: the one that is decided on, then the others by score.

    Args:
        scores: `[classes]` vector, as for `decided`.
        count: Number of classes to return.
        threshold: Threshold of the class that must not be missed; None if there is none.

    Returns:
        `[count]` class indices; fewer if there are fewer classes.
    """
    if threshold is None:
        return best_indices(scores, count)
    first = decided(scores, threshold)
    order = best_indices(scores, len(scores))
    return np.concatenate(([first], order[order != first]))[:count]
