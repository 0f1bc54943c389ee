"""Prepared pixels and frozen features of photos, computed once and cached on disk.

Each kind has its own store in the cache folder, whose name is derived from everything that its arrays depend on, except
the photo. In a store every photo has one array, under the hash of its content. Adding photos, splitting them otherwise
or renaming the folder therefore costs only what is new, and an interrupted computation resumes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.cache_folder import cache_folder
from edgecnn.core.dataset import Example
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.progress import Progress, silent, track
from edgecnn.core.versions import versions_of
from edgecnn.training.features.extraction import engine_name, frozen_features
from edgecnn.training.features.preprocessing import prepared_photos
from edgecnn.training.features.row_store import Rows, RowStore, add_rows, map_rows, stored_positions
from edgecnn.training.keras import keras

_BATCH_BYTES, _BATCH_ROWS = 32_000_000, 256
"""A batch is added to a store when it has reached either size."""


def hash_of(parts: Iterable[str | bytes]) -> str:
    """Hash a sequence of texts or bytes.

    Args:
        parts: Parts in order. The boundaries between them count: `ab`, `c` and `a`, `bc` have different hashes.

    Returns:
        SHA-256 as a hex digest.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def cached_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> Rows:
    """Prepare photos with the shared preprocessing, or take them from the cache.

    Args:
        examples: Photos of a data set.
        spec: Preprocessing of the model.
        progress: Receives the number of photos prepared.

    Returns:
        Pixels, memory-mapped uint8 `[n, height, width, channels]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
        WriteError: The cache cannot be used.
    """
    name = f"pixels-{spec.height}x{spec.width}-{hash_of(_pixel_parts(spec))[:32]}"
    store = RowStore(cache_folder() / name, np.dtype(np.uint8), (spec.height, spec.width, spec.channels))
    missing = _missing(store, examples)
    _add(store, missing, track(prepared_photos(missing, spec), progress, "preparing photos", len(missing)))
    return map_rows(store, [example.sha256 for example in examples])


def cached_features(
    backbone: keras.Model, examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent
) -> Rows:
    """Compute the features of photos with `frozen_features`, or take them from the cache.

    One call for all photos, whose rows are then split, is faster than a call for each split.

    Args:
        backbone: Frozen backbone, in float32.
        examples: Photos of a data set.
        spec: Preprocessing of the model.
        progress: Receives the number of photos computed.

    Returns:
        Features, memory-mapped float32 `[n, features]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
        WriteError: The cache cannot be used.
    """
    weights = hash_of(array.tobytes() for array in backbone.get_weights())
    normalization = spec.model_dump_json(include={"mean", "std"})
    key = hash_of([*_pixel_parts(spec), normalization, backbone.name, weights, engine_name()])
    name = f"features-{backbone.name}-{spec.height}x{spec.width}-{key[:32]}"
    store = RowStore(cache_folder() / name, np.dtype(np.float32), (backbone.output_shape[-1],))
    missing = _missing(store, examples)
    if missing:
        _add(store, missing, frozen_features(backbone, missing, spec, store.folder / "backbone.tflite", progress))
    else:
        progress("frozen features (cached)", len(examples), len(examples))
    return map_rows(store, [example.sha256 for example in examples])


def _pixel_parts(spec: PreprocessSpec) -> list[str]:
    """Return what pixels depend on, except the photo: the geometry, and the code that decodes and resizes."""
    # The normalization comes after the bytes, so only the number of channels counts. The mean counts too where it fills
    # the borders of a letterbox.
    geometry = spec.model_dump_json(exclude={"mean", "std"} if spec.resize != "letterbox" else {"std"})
    return [geometry, str(spec.channels), versions_of(["edgecnn"]).get("edgecnn", ""), cv2.__version__]


def _missing(store: RowStore, examples: Sequence[Example]) -> list[Example]:
    """Return one example for each content that is not in the store."""
    known = stored_positions(store)
    return list({example.sha256: example for example in examples if example.sha256 not in known}.values())


def _add(store: RowStore, examples: Sequence[Example], rows: Iterable[NDArray[Any]]) -> None:
    """Add the arrays of examples to a store, in batches; `rows` computes each array when it is taken."""
    batch_rows = min(_BATCH_ROWS, max(1, _BATCH_BYTES // store.row_bytes))
    batch: dict[str, NDArray[Any]] = {}
    for example, row in zip(examples, rows, strict=True):
        batch[example.sha256] = row
        if len(batch) == batch_rows:
            add_rows(store, batch)
            batch = {}
    add_rows(store, batch)
