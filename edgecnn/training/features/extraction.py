"""Features of a frozen backbone, computed by the fastest available engine that agrees with Keras.

Without a GPU that is LiteRT, with one single-threaded interpreter per core: the features of a photo then do not depend
on the number of cores. With a GPU it is Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.atomic import atomic_path
from edgecnn.core.dataset import Example
from edgecnn.core.model_file.golden import synthetic_frame
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess
from edgecnn.core.processors import usable_processors
from edgecnn.core.progress import Progress, silent, track
from edgecnn.runtime.inference.interpreter import find_runtime, open_interpreter
from edgecnn.runtime.inference.tensors import fill_input
from edgecnn.training.features.preprocessing import prepared_photo, prepared_photos
from edgecnn.training.keras import keras, tf
from edgecnn.training.normalization import normalize
from edgecnn.training.tflite.convert import convert

TOLERANCE = 1e-4
"""Largest accepted difference from Keras, as a share of the largest feature.

Both engines add in float32, in a different order.
"""

_COMPARED_IMAGES = 3
_KERAS_BATCH = 32

Features = NDArray[np.float32]
"""Features of one photo, `[features]`."""


class Engine(NamedTuple):
    """A library that computes features."""

    name: Literal["litert", "keras"]
    reason: str = ""
    """Reason to prefer it to LiteRT, as the progress shows it."""


LITERT = Engine("litert")
KERAS_ON_GPU = Engine("keras", "by Keras on a GPU")


class LiteRtDiffersError(Exception):
    """LiteRT and Keras compute different features for the same network."""


def preferred_engine() -> Engine:
    """Choose the engine for this machine.

    Returns:
        `KERAS_ON_GPU` or `LITERT`.
    """
    return KERAS_ON_GPU if tf.config.list_physical_devices("GPU") else LITERT


def engine_name() -> str:
    """Name the engine of this machine and its version, since another one gives different last bits.

    Returns:
        A text for the key of a cache.
    """
    converter = f"tensorflow {tf.__version__}"
    if preferred_engine() == KERAS_ON_GPU:
        return f"{converter} on a GPU"
    runtime = find_runtime()
    return f"{runtime.package} {runtime.version}, converted by {converter}"


def frozen_features(
    backbone: keras.Model,
    examples: Sequence[Example],
    spec: PreprocessSpec,
    flatbuffer: Path,
    progress: Progress = silent,
) -> Iterator[Features]:
    """Compute the features of photos.

    LiteRT computes them unless there is a GPU or LiteRT differs from Keras; then Keras does, and the detail of
    `progress` says why.

    Args:
        backbone: Frozen backbone, in float32.
        examples: Photos of a data set.
        spec: Preprocessing of the model.
        flatbuffer: Path of the converted backbone; if the file is missing, it is created.
        progress: Receives the number of photos computed.

    Returns:
        Features of each photo, float32 `[features]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
    """
    engine = preferred_engine()
    if engine == LITERT:
        try:
            prepare_flatbuffer(backbone, spec, flatbuffer)
        except LiteRtDiffersError as error:
            engine = Engine("keras", f"by Keras: {error}")
    if engine == LITERT:
        rows = features_by_litert(flatbuffer, examples, spec)
    else:
        rows = features_by_keras(backbone, examples, spec)
    return track(rows, progress, "frozen features", len(examples), engine.reason)


def prepare_flatbuffer(backbone: keras.Model, spec: PreprocessSpec, flatbuffer: Path) -> None:
    """Convert a backbone for LiteRT, unless that has been done, and compare both engines on synthetic images.

    Args:
        backbone: Frozen backbone, in float32.
        spec: Preprocessing of the model.
        flatbuffer: Path of the converted backbone. An existing file has passed the comparison.

    Raises:
        LiteRtDiffersError: The features differ by more than `TOLERANCE`; no file is created.
    """
    if flatbuffer.exists():
        return
    content = convert(backbone, "float32", spec)
    with atomic_path(flatbuffer) as temporary:
        temporary.write_bytes(content)
        difference = _difference(backbone, temporary, spec)
        # Written so that NaN counts as a difference.
        if not difference <= TOLERANCE:
            raise LiteRtDiffersError(f"LiteRT differs by {difference:.2g}")


class LiteRtBackbone:
    """Owns an interpreter and its buffers; only one thread may use it at a time."""

    def __init__(self, path: Path, spec: PreprocessSpec) -> None:
        self._interpreter = open_interpreter(path, threads=1)
        # Normalized value of each byte and channel, as Keras receives it.
        self._table = normalize(np.repeat(np.arange(256, dtype=np.uint8)[:, None], len(spec.mean), axis=1), spec)
        self._input = self._interpreter.tensor(self._interpreter.get_input_details()[0]["index"])
        self._output_index = self._interpreter.get_output_details()[0]["index"]

    def __call__(self, pixels: Image) -> Features:
        """Return the features, `[features]`, of prepared pixels, uint8 `[height, width, channels]`."""
        fill_input(pixels, self._table, self._input()[0])
        self._interpreter.invoke()
        features: Features = self._interpreter.get_tensor(self._output_index)[0]
        return features


def features_by_litert(path: Path, examples: Sequence[Example], spec: PreprocessSpec) -> Iterator[Features]:
    """Compute the features of photos with LiteRT, on all processors.

    Args:
        path: Float32 flatbuffer of the backbone.
        examples: Photos of a data set.
        spec: Preprocessing of the model.

    Returns:
        Features of each photo, float32 `[features]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
    """
    threads = max(1, min(usable_processors(), len(examples)))
    idle: SimpleQueue[LiteRtBackbone] = SimpleQueue()
    for _ in range(threads):
        idle.put(LiteRtBackbone(path, spec))

    def features_of(example: Example) -> Features:
        pixels = prepared_photo(example, spec)
        backbone = idle.get()
        try:
            return backbone(pixels)
        finally:
            idle.put(backbone)

    return map_in_threads(features_of, examples, threads)


def features_by_keras(backbone: keras.Model, examples: Sequence[Example], spec: PreprocessSpec) -> Iterator[Features]:
    """Compute the features of photos with Keras, in batches.

    Args:
        backbone: Frozen backbone.
        examples: Photos of a data set.
        spec: Preprocessing of the model.

    Yields:
        Features of each photo, float32 `[features]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
    """
    photos = prepared_photos(examples, spec)
    # The last batch is full too: another size may be computed in another order, and would be compiled again.
    batch = np.zeros((_KERAS_BATCH, spec.height, spec.width, spec.channels), np.uint8)
    while pixels := list(islice(photos, _KERAS_BATCH)):
        batch[: len(pixels)] = pixels
        yield from backbone.predict_on_batch(normalize(batch, spec))[: len(pixels)]


def _difference(backbone: keras.Model, file: Path, spec: PreprocessSpec) -> float:
    """Return the largest difference between Keras's and a flatbuffer's features, as a share of the largest one."""
    frames = (synthetic_frame(seed, spec.height, spec.width) for seed in range(_COMPARED_IMAGES))
    images = [preprocess(frame, spec) for frame in frames]
    expected = backbone(normalize(np.stack(images), spec), training=False).numpy()
    engine = LiteRtBackbone(file, spec)
    actual = np.stack([engine(image) for image in images])
    return float(np.abs(actual - expected).max() / (np.abs(expected).max() or 1.0))
