"""What is worth computing once for a photo: its prepared pixels, and a frozen backbone's features of it.

Each kind has a store of its own in the cache folder, named by all that its arrays depend on but the photo; in it every
photo has one array, by its content. So ten photos more, another division or another name of the folder cost no more
than what is new, and a computation that was broken off goes on where it was.
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
"""A batch is added to a store when it has come to either of them."""


def hash_of(parts: Iterable[str | bytes]) -> str:
    """Hex digest of parts in order; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def cached_pixels(examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent) -> Rows:
    """`[n, height, width, channels]` uint8: every photo through the shared preprocessing, memory-mapped."""
    name = f"pixels-{spec.height}x{spec.width}-{hash_of(_pixel_parts(spec))[:32]}"
    store = RowStore(cache_folder() / name, np.dtype(np.uint8), (spec.height, spec.width, spec.channels))
    missing = _missing(store, examples)
    _add(store, missing, track(prepared_photos(missing, spec), progress, "preparing photos", len(missing)))
    return map_rows(store, [example.sha256 for example in examples])


def cached_features(
    backbone: keras.Model, examples: Sequence[Example], spec: PreprocessSpec, progress: Progress = silent
) -> Rows:
    """`[n, features]` float32 of a frozen backbone, memory-mapped; see `frozen_features`.

    To ask for all photos at once and divide the rows is faster than to ask split by split.
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
    """What pixels depend on but the photo: the geometry, and who decodes and resizes."""
    # Mean and std come after the bytes, so only their number counts, and the mean where it fills what
    # a photo leaves free.
    geometry = spec.model_dump_json(exclude={"mean", "std"} if spec.resize != "letterbox" else {"std"})
    return [geometry, str(spec.channels), versions_of(["edgecnn"]).get("edgecnn", ""), cv2.__version__]


def _missing(store: RowStore, examples: Sequence[Example]) -> list[Example]:
    """One example for every content that the store does not hold."""
    known = stored_positions(store)
    return list({example.sha256: example for example in examples if example.sha256 not in known}.values())


def _add(store: RowStore, examples: Sequence[Example], rows: Iterable[NDArray[Any]]) -> None:
    """Adds the examples' arrays, which are computed as they are taken, batch by batch."""
    most = min(_BATCH_ROWS, max(1, _BATCH_BYTES // store.row_bytes))
    batch: dict[str, NDArray[Any]] = {}
    for example, row in zip(examples, rows, strict=True):
        batch[example.sha256] = row
        if len(batch) == most:
            add_rows(store, batch)
            batch = {}
    add_rows(store, batch)
