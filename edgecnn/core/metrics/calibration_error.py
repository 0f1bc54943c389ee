"""Calibration: a check that a classifier that says 0.9 is right nine times out of ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.records.record import Record

BINS = 15

_ROUNDING = 1e-3
"""Tolerance by which a dequantized probability may lie outside 0..1."""


class Bin(Record):
    """Photos whose best class has a similar score."""

    n: int
    """Number of photos."""
    confidence: float
    """Mean probability of the best class."""
    accuracy: float
    """Fraction of the photos whose true class is the best class."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Distance between probabilities and frequencies; 0 is perfect for all three figures."""

    ece: float
    """Expected calibration error: the mean gap between confidence and accuracy of a bin, weighted by its photos
    (Naeini, Cooper & Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI)."""
    mce: float
    """Maximum calibration error: the largest gap of any bin (ibid.)."""
    brier: float
    """Mean over the photos of the squared error summed over all classes, from 0 to 2 (Brier 1950, Monthly Weather
    Review 78:1-3). With two classes it is twice the value that often goes by that name."""
    bins: tuple[Bin, ...]
    """Those of the `BINS` that contain photos, by rising confidence."""


def reliability(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> Reliability | None:
    """Compare probabilities with the true classes.

    The bins are of equal width in the probability of the best class, each including its upper edge, as in Guo et al.
    2017 ("On Calibration of Modern Neural Networks", ICML). A decision threshold has no influence: only probabilities
    count.

    Args:
        probabilities: `[n, classes]`, n at least 1.
        truth: `[n]` class indices.

    Returns:
        The calibration errors, or None if the outputs are not probabilities.
    """
    if probabilities.min() < -_ROUNDING or probabilities.max() > 1 + _ROUNDING:
        return None
    best = probabilities.argmax(axis=1)
    confidence = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0].astype(np.float64)
    bin_index = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
    sizes = np.bincount(bin_index, minlength=BINS)
    used = np.flatnonzero(sizes)
    confidences = np.bincount(bin_index, confidence, BINS)[used] / sizes[used]
    accuracies = np.bincount(bin_index, best == truth, BINS)[used] / sizes[used]
    gaps = np.abs(confidences - accuracies)
    return Reliability(
        ece=float(np.average(gaps, weights=sizes[used])),
        mce=float(gaps.max()),
        brier=_brier(probabilities, truth),
        bins=tuple(
            Bin(n=n, confidence=mean, accuracy=accuracy)
            for n, mean, accuracy in zip(sizes[used].tolist(), confidences.tolist(), accuracies.tolist(), strict=True)
        ),
    )


def _brier(probabilities: NDArray[np.float32], truth: NDArray[np.intp]) -> float:
    # sum (p - y)^2 = sum p^2 - 2 p_truth + 1: avoids a one-hot array as large as the probabilities.
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)[:, 0].astype(np.float64)
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    return float(np.mean(squares - 2 * own + 1))
