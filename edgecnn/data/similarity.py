"""Pictures that show the same though their files differ: re-encoded, scaled, brightened, marked, cropped a little.

Two pictures show the same when their fine structure correlates. That structure is a picture of 32 x 32 gray pixels
after local contrast normalization (Jarrett et al., "What is the best multi-stage architecture for object recognition?",
2009), which leaves brightness out, less the mean of all such pictures, which leaves out the layout that all of them
have: a chest, or the round edge of a retina.

All pairs are compared, exactly, though not in full. As in perceptual hashes (Zauner, "Implementation and Benchmarking
of Perceptual Image Hash Functions", 2010) the lowest 8 x 8 frequencies of the DCT stand for a picture, p. The DCT keeps
lengths, so that the rest, r, has the length sqrt(1 - |p|^2), and by Cauchy and Schwarz

    correlation(a, b) = p_a p_b + r_a r_b <= p_a p_b + |r_a| |r_b|

which is one product of 65 numbers, and rules out nearly all pairs. Mirrored and turned pictures are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.progress import Progress, silent

MIN_CORRELATION, MIN_CORRELATION_OF_SMALL = 0.95, 0.99
"""Re-encoded, scaled and brightened photos reach 0.97, most that lost 1 % on each side or got a caption 0.95; different
photos of clothes or chests stay below 0.93, and two handwritten ones reach 0.98."""
SMALL_PX = 64
"""A picture with a shorter side of up to this has little structure by which it could differ from another."""

_SIDE_PX, _LOW = 32, 8
_FLAT = 2.0
"""Standard deviation in gray levels below which a picture is one even area, like any other such."""
_NEIGHBOURHOOD_PX, _NOISE = 3.0, 4.0
"""How far local is, and the contrast in gray levels that counts as noise."""
_DOUBT = 10
"""The mean of a few pictures is no layout: it is taken as if there were so many more, without structure."""
_ROWS, _PAIRS = 256, 8192
"""Handled at a time, to bound the memory."""
_SHORTEST = 1e-6
"""A structure that is not longer is none."""
_ROUNDING = 1e-4
"""More than float32 loses in a sum of this length."""


class Likeness(NamedTuple):
    """What a picture is compared by."""

    structure: NDArray[np.float32]
    """32 x 32 values of mean 0 and length 1; all 0 of an even area, which is thereby like nothing."""
    is_small: bool


def likeness_of(gray: NDArray[Any]) -> Likeness:
    """What to compare a picture by; `gray` is its luminance, uint8 `[height, width]`."""
    return Likeness(_structure(gray), min(gray.shape) <= SMALL_PX)


def similar_pairs(pictures: Sequence[Likeness], progress: Progress = silent) -> NDArray[np.intp]:
    """All pairs of pictures that show the same, as `[pairs, 2]` indices, the smaller one first."""
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
        for at in range(0, len(possible), _PAIRS):
            first, second = possible[at : at + _PAIRS].T
            correlation = np.einsum("ij,ij->i", structures[first], structures[second])
            similar = correlation >= np.maximum(needed[first], needed[second])
            pairs.append(possible[at : at + _PAIRS][similar])
        progress("comparing photos", min(start + _ROWS, len(pictures)), len(pictures))
    return np.concatenate(pairs)


def _without_layout(structures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Structures less what is common to them, of length 1 again; what had none still has none."""
    layout = structures.sum(axis=0) / (len(structures) + _DOUBT)
    own = np.where(structures.any(axis=1, keepdims=True), structures - layout, 0)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    return np.asarray(own / np.maximum(lengths, _SHORTEST), np.float32)


def _outlines(structures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lowest frequencies of each structure and the length of the rest, `[n, 65]`."""
    low = np.array([cv2.dct(each)[:_LOW, :_LOW].ravel() for each in structures.reshape(-1, _SIDE_PX, _SIDE_PX)])
    whole = np.square(structures).sum(axis=1)
    rest = np.sqrt(np.maximum(whole - np.square(low).sum(axis=1), 0))
    return np.column_stack([low, rest])


def _structure(gray: NDArray[Any]) -> NDArray[np.float32]:
    small = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    if float(small.std()) < _FLAT:
        return np.zeros(small.size, np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _NEIGHBOURHOOD_PX)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEIGHBOURHOOD_PX))
    normalized = (detail / (contrast + _NOISE)).ravel()
    normalized -= normalized.mean()
    return np.asarray(normalized / max(float(np.linalg.norm(normalized)), _SHORTEST), np.float32)
