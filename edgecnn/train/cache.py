"""Arrays that are worth computing once: prepared pixels and a frozen backbone's features.

They are `.npy` files in a folder of their own, named by the hash of everything that they depend on, and memory-mapped,
so that a data set larger than memory streams.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.atomic import atomic_path
from edgecnn.core.cache_folder import cache_folder
from edgecnn.core.dataset import Example, read_image
from edgecnn.core.preprocess import Preprocessor, PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.train.convert import normalize
from edgecnn.train.keras import keras

_FEATURE_BATCH = 32


def hash_of(parts: Iterable[str | bytes]) -> str:
    """Hex digest of parts in order; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def cached_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> NDArray[np.uint8]:
    """`[n, height, width, channels]` uint8: every photo through the shared preprocessing, memory-mapped."""
    path = cache_folder() / f"pixels-{_pixels_key(examples, spec)}.npy"
    if not path.exists():
        with atomic_path(path) as temporary:
            _write_pixels(temporary, examples, spec, progress)
    return _mapped(path)


def cached_features(
    backbone: keras.Model, examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent
) -> NDArray[np.float32]:
    """`[n, features]` float32 of a frozen backbone; images, preprocessing and weights together are the key."""
    weights = hash_of(array.tobytes() for array in backbone.get_weights())
    key = hash_of([_pixels_key(examples, spec), spec.model_dump_json(include={"mean", "std"}), backbone.name, weights])
    path = cache_folder() / f"features-{key}.npy"
    if not path.exists():
        pixels = cached_pixels(examples, spec, progress)
        with atomic_path(path) as temporary:
            _write_features(temporary, backbone, pixels, spec, progress)
    else:
        progress("frozen features (cached)", len(examples), len(examples))
    return _mapped(path)


def _pixels_key(examples: Sequence[Example], spec: PreprocessSpec) -> str:
    # The values of mean and std come after the bytes, so only their number counts; the classes do not either.
    geometry = spec.model_dump_json(exclude={"mean", "std"} if spec.resize != "letterbox" else {"std"})
    return hash_of([geometry, str(spec.channels), *(example.sha256 for example in examples)])


def _write_pixels(path: Path, examples: Sequence[Example], spec: PreprocessSpec, progress: Progress) -> None:
    preprocess = Preprocessor(spec)
    out = _allocated(path, np.uint8, (len(examples), spec.height, spec.width, spec.channels))
    for index, example in enumerate(examples):
        preprocess(read_image(example.path), out[index])
        progress("preparing photos", index + 1, len(examples))
    out.flush()


def _write_features(
    path: Path, backbone: keras.Model, pixels: NDArray[np.uint8], spec: PreprocessSpec, progress: Progress
) -> None:
    out = _allocated(path, np.float32, (len(pixels), backbone.output_shape[-1]))
    for start in range(0, len(pixels), _FEATURE_BATCH):
        batch = normalize(pixels[start : start + _FEATURE_BATCH], spec)
        out[start : start + len(batch)] = backbone.predict_on_batch(batch)
        progress("frozen features", start + len(batch), len(pixels))
    out.flush()


def _allocated(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    out: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    # A mapped file is sparse until it is written to: a full disk would then kill the process. Here it is an OSError.
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return out


def _mapped(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r"))
