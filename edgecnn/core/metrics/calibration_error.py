"""Whether a classifier that says 0.9 is right nine times out of ten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15

_ROUNDING = 1e-3
"""By so much a dequantized probability may miss 0..1."""


class Bin(NamedTuple):
    """Photos whose best class scored about the same."""

    n: int
    confidence: float
    """Mean probability of the best class."""
    accuracy: float
    """Share of the photos whose truth it is."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities are from frequencies; 0 is perfect for all three figures."""

    ece: float
    """Expected calibration error: the mean gap between confidence and accuracy of a bin, weighted by its photos
    (Naeini, Cooper & Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI)."""
    mce: float
    """Maximum calibration error: the largest gap of any bin (ibid.)."""
    brier: float
    """Mean over the photos of the squared error summed over all classes, from 0 to 2 (Brier 1950, Monthly Weather
    Review 78:1-3). With two classes it is twice what is often given under that name."""
    bins: tuple[Bin, ...]
    """Those of the `BINS` that have photos, by rising confidence."""


def reliability(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> Reliability | None:
    """Compares `probabilities [n, classes]` with `truth [n]`, n 1 or more; None for outputs that are no probabilities.

    The bins are of equal width in the probability of the best class, each with its upper edge, as in Guo et al. 2017
    ("On Calibration of Modern Neural Networks", ICML). No threshold plays a part: it is about the probabilities.
    """
    if probabilities.min() < -_ROUNDING or probabilities.max() > 1 + _ROUNDING:
        return None
    best = probabilities.argmax(axis=1)
    confidence = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0].astype(np.float64)
    place = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
    sizes = np.bincount(place, minlength=BINS)
    used = np.flatnonzero(sizes)
    confidences = np.bincount(place, confidence, BINS)[used] / sizes[used]
    accuracies = np.bincount(place, best == truth, BINS)[used] / sizes[used]
    gaps = np.abs(confidences - accuracies)
    return Reliability(
        ece=float(np.average(gaps, weights=sizes[used])),
        mce=float(gaps.max()),
        brier=_brier(probabilities, truth),
        bins=tuple(map(Bin, sizes[used].tolist(), confidences.tolist(), accuracies.tolist())),
    )


def _brier(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> float:
    # sum (p - y)^2 = sum p^2 - 2 p_truth + 1: no array of ones and zeros as large as the probabilities.
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)[:, 0].astype(np.float64)
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    return float(np.mean(squares - 2 * own + 1))
