"""Choice of the decision threshold for a class that must not be missed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from edgecnn.core.dataset import VALIDATION, Dataset
from edgecnn.core.errors import DataError, ExportError, UnknownName
from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.core.settings.min_recall import MinRecall


def check_min_recall(request: MinRecall, dataset: Dataset) -> None:
    """Check that a threshold can be picked for the requested class.

    Args:
        request: Class and minimum recall.
        dataset: Photos of the run.

    Raises:
        UnknownName: The run has no such class.
        DataError: There are no validation photos of the class.
    """
    if request.label not in dataset.labels.names:
        raise UnknownName("class", request.label, dataset.labels)
    if not dataset.class_counts(VALIDATION)[request.label]:
        raise DataError(
            f"expected validation photos of {request.label!r} to pick its threshold on, "
            f"{dataset.root} contains none; add some"
        )


def pick_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp], index: int, request: MinRecall
) -> ClassThreshold:
    """Return the largest threshold at which a class has the requested recall.

    With m photos of the class, the threshold is the k-th highest of their scores, where k is the smallest count with
    k / m >= recall. Photos with the same score as the k-th are found as well.

    The lower end of the recall's confidence interval is valid although the threshold was picked on the same photos: if
    no scores tie, the fraction of new photos that score at or above the k-th highest of m scores has the distribution
    Beta(k, m - k + 1) (Wilks 1941, Annals of Mathematical Statistics 12:91-96). The lower end of Clopper and Pearson's
    interval is a quantile of that distribution.

    Args:
        probabilities: Output of the model file, quantized or not, `[n, classes]`.
        truth: Index of each photo's class, `[n]`. At least one photo must show the requested class.
        index: Index of the requested class.
        request: Name of the class and minimum recall.

    Returns:
        The threshold, with recall and precision of the class with and without it.

    Raises:
        ExportError: The threshold would be 0, so that every photo would be assigned to the class.
    """
    scores, shown = probabilities[:, index], truth == index
    highest_first = np.sort(scores[shown])[::-1]
    photos = len(highest_first)
    recalls = np.arange(1, photos + 1) / photos
    # The output of a float32 softmax can exceed 1 in its last bit.
    minimum = min(1.0, float(highest_first[np.argmax(recalls >= request.recall)]))
    if minimum <= 0:
        reachable = np.count_nonzero(highest_first > 0) / photos
        raise ExportError(
            f"a recall of {request.recall:g} for {request.label!r} is out of reach: {reachable:.4f} of its validation "
            f"photos score above 0; ask for less, or train a better model"
        )
    hits = int(np.count_nonzero(scores[shown] >= minimum))
    before = probabilities.argmax(axis=1) == index
    return ClassThreshold(
        label=request.label,
        min_recall=request.recall,
        threshold=minimum,
        recall=hits / photos,
        precision=_precision(scores >= minimum, shown),
        recall_before=float(np.mean(before[shown])),
        precision_before=_precision(before, shown),
        photos=photos,
        recall_ci95=_clopper_pearson_95(hits, photos),
    )


def _clopper_pearson_95(hits: int, n: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a proportion (Clopper and Pearson 1934, Biometrika 26:404-413).

    Each bound is the proportion at which `hits` or more (lower) or fewer (upper) out of `n` has probability 2.5 %.
    """
    interval = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="exact")
    return float(interval.low), float(interval.high)


def _precision(decided: NDArray[np.bool_], shown: NDArray[np.bool_]) -> float:
    """Return the fraction of the photos assigned to the class that show it; 0 if none is assigned to it."""
    return int(np.count_nonzero(decided & shown)) / max(1, int(np.count_nonzero(decided)))
