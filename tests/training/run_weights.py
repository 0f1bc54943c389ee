"""Comparison of the weights that runs have stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


def stored_weights(run: Path, file: str = "float.h5") -> Weights:
    """Return every array of a run's checkpoint, by its name in the file."""
    arrays: Weights = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(run / file) as content:
        content.visititems(collect)
    return arrays


def same(one: Weights, other: Weights) -> bool:
    """Return True if all weights are equal to the bit."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
