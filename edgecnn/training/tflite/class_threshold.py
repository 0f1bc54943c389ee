"""Picking the score from which on a class that must not be missed is decided on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import VALIDATION, Dataset
from edgecnn.core.errors import DataError, ExportError, UnknownName
from edgecnn.core.model_file.card import ClassThreshold
from edgecnn.core.settings.min_recall import MinRecall
from edgecnn.training.tflite.proportion import clopper_pearson


def check_min_recall(request: MinRecall, dataset: Dataset) -> None:
    """Raises `UnknownName` for a class that the run does not have, `DataError` for one without validation photos."""
    if request.label not in dataset.labels.names:
        raise UnknownName("class", request.label, dataset.labels)
    if not dataset.class_counts(VALIDATION)[request.label]:
        raise DataError(
            f"expected validation photos of {request.label!r} to pick its threshold on, "
            f"{dataset.root} has none; add some"
        )


def pick_threshold(
    probabilities: NDArray[np.float32], truth: NDArray[np.intp], index: int, request: MinRecall
) -> ClassThreshold:
    """The largest threshold for class `index` under which its recall is at least what is asked for.

    `probabilities [n, classes]` are a model file's own, quantized or not, and `truth [n]` has the class at least once.
    With m photos of the class it is the score of the k-th best of them, k the smallest count with k / m >= recall;
    photos that tie with that one are found too. Raises `ExportError` where that score is 0, as everything would be
    decided to be the class.

    The lower end of the interval holds although the threshold was picked on the same photos: where no scores tie, the
    share of new ones that lie at or above the k-th best of m is distributed as Beta(k, m - k + 1) (Wilks 1941, Annals
    of Mathematical Statistics 12:91-96), whose quantile Clopper and Pearson's lower end is.
    """
    scores, shown = probabilities[:, index], truth == index
    best_first = np.sort(scores[shown])[::-1]
    found = np.arange(1, len(best_first) + 1) / len(best_first)
    # A float32 softmax may pass 1 by its last bit.
    minimum = min(1.0, float(best_first[np.argmax(found >= request.recall)]))
    if minimum <= 0:
        reachable = np.count_nonzero(best_first > 0) / len(best_first)
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
        recall=hits / len(best_first),
        precision=_precision(scores >= minimum, shown),
        recall_before=float(np.mean(before[shown])),
        precision_before=_precision(before, shown),
        photos=len(best_first),
        recall_ci95=clopper_pearson(hits, len(best_first)),
    )


def _precision(taken: NDArray[np.bool_], shown: NDArray[np.bool_]) -> float:
    """Share of the photos taken for the class that show it; 0 where none was taken for it."""
    return int(np.count_nonzero(taken & shown)) / max(1, int(np.count_nonzero(taken)))
