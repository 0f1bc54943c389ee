"""Detection of pictures that look the same although their files differ.

They may be re-encoded, scaled, brightened, captioned or slightly cropped. Mirrored and rotated pictures are not found.

Two pictures look the same if their fine structure correlates. The structure is computed from 32 x 32 gray pixels. Local
contrast normalization (Jarrett et al., "What is the best multi-stage architecture for object recognition?", 2009)
removes the brightness. Subtracting the mean structure of all pictures removes the layout that all of them share, such
as a chest or the round edge of a retina.

All pairs are compared, and the result is exact, but few pairs are compared in full. As in perceptual hashes (Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010), the lowest 8 x 8 frequencies of the DCT
represent a picture: p. The DCT preserves lengths, so the rest, r, has the length sqrt(1 - |p|^2), and by the
Cauchy-Schwarz inequality

    correlation(a, b) = p_a p_b + r_a r_b <= p_a p_b + |r_a| |r_b|

This bound is one product of 65 numbers, and it rules out nearly all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.progress import Progress, silent

MIN_CORRELATION, MIN_CORRELATION_OF_SMALL = 0.95, 0.99
"""Re-encoded, scaled and brightened photos reach 0.97; most that lost 1 % on each side or got a caption reach 0.95.
Different photos of clothes or chests stay below 0.93, but two different handwritten digits reach 0.98."""
SMALL_PX = 64
"""A picture whose shorter side is at most this long has little structure by which it could differ from another."""

_SIDE_PX, _LOW = 32, 8
_FLAT = 2.0
"""Standard deviation, in gray levels, below which a picture is one uniform area, like any other such picture."""
_NEIGHBORHOOD_PX, _NOISE = 3.0, 4.0
"""Standard deviation of the Gaussian that defines the local neighborhood, and the contrast, in gray levels, that
counts as noise."""
_DOUBT = 10
"""Number of pictures without structure that are added to the mean: the mean of a few pictures is not a layout."""
_ROWS, _PAIRS = 256, 8192
"""Numbers of pictures and of pairs that are processed at a time, to bound the memory."""
_SHORTEST = 1e-6
"""A shorter structure counts as none."""
_ROUNDING = 1e-4
"""More than the rounding error of float32 in a sum of this length."""


class Likeness(NamedTuple):
    """The features by which a picture is compared."""

    structure: NDArray[np.float32]
    """32 x 32 values with mean 0 and length 1; all 0 for a uniform area, which therefore resembles nothing."""
    is_small: bool
    """The shorter side is at most `SMALL_PX` long."""


def likeness_of(gray: NDArray[Any]) -> Likeness:
    """Compute the features by which a picture is compared.

    Args:
        gray: Its luminance, uint8 `[height, width]`.

    Returns:
        The likeness of the picture.
    """
    return Likeness(_structure(gray), min(gray.shape) <= SMALL_PX)


def similar_pairs(pictures: Sequence[Likeness], progress: Progress = silent) -> NDArray[np.intp]:
    """Find all pairs of pictures that look the same.

    Args:
        pictures: Likenesses of the pictures.
        progress: Called after each block of pictures.

    Returns:
        Indices `[pairs, 2]` into `pictures`, the smaller one first.
    """
    none = np.empty((0, 2), np.intp)
    if not pictures:
        return none
    structures = _without_layout(np.array([picture.structure for picture in pictures]))
    needed = np.array([MIN_CORRELATION_OF_SMALL if picture.is_small else MIN_CORRELATION for picture in pictures])
    outlines = _outlines(structures)
    pairs = [none]
    for start in range(0, len(pictures), _ROWS):
        bounds = outlines[start : start + _ROWS] @ outlines[start:].T
        possible = np.argwhere(bounds >= needed.min() - _ROUNDING)
        possible = possible[possible[:, 0] < possible[:, 1]] + start
        for offset in range(0, len(possible), _PAIRS):
            block = possible[offset : offset + _PAIRS]
            first, second = block.T
            correlation = np.einsum("ij,ij->i", structures[first], structures[second])
            similar = correlation >= np.maximum(needed[first], needed[second])
            pairs.append(block[similar])
        progress("comparing photos", min(start + _ROWS, len(pictures)), len(pictures))
    return np.concatenate(pairs)


def _without_layout(structures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract the structure that all pictures share, and scale to length 1 again; a zero structure stays zero."""
    layout = structures.sum(axis=0) / (len(structures) + _DOUBT)
    own = np.where(structures.any(axis=1, keepdims=True), structures - layout, 0)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    return np.asarray(own / np.maximum(lengths, _SHORTEST), np.float32)


def _outlines(structures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lowest frequencies of each structure and the length of the rest, `[n, 65]`."""
    low = np.array([cv2.dct(square)[:_LOW, :_LOW].ravel() for square in structures.reshape(-1, _SIDE_PX, _SIDE_PX)])
    whole = np.square(structures).sum(axis=1)
    rest = np.sqrt(np.maximum(whole - np.square(low).sum(axis=1), 0))
    return np.column_stack([low, rest])


def _structure(gray: NDArray[Any]) -> NDArray[np.float32]:
    small = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    if float(small.std()) < _FLAT:
        return np.zeros(small.size, np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _NEIGHBORHOOD_PX)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEIGHBORHOOD_PX))
    normalized = (detail / (contrast + _NOISE)).ravel()
    normalized -= normalized.mean()
    return np.asarray(normalized / max(float(np.linalg.norm(normalized)), _SHORTEST), np.float32)
