"""A frozen backbone at work, by the fastest engine at hand that computes what Keras does.

On a processor that is LiteRT, with an interpreter of one thread for every core: what it makes of a photo depends on
nothing but the photo, not on how many cores there are. With a GPU it is TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

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
"""Largest difference to Keras, as a share of the largest feature; both add in float32, in another order."""

_COMPARED_IMAGES = 3
_KERAS_BATCH = 32

Features = NDArray[np.float32]
"""Of one photo, `[features]`."""


def engine_name() -> str:
    """What computes features here. Another engine or version of it gives other last bits."""
    converter = f"tensorflow {tf.__version__}"
    if _has_gpu():
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
    """`[features]` float32 of every example, in order.

    `flatbuffer` is where LiteRT finds the backbone, or it is put there, once it agrees with Keras to `TOLERANCE` on
    synthetic pictures. Where it does not, Keras computes all features, which `progress` is told in its detail. Raises
    `DataError` for a photo that is gone or not the one that was found.
    """
    why_keras = _why_keras(backbone, spec, flatbuffer)
    rows = features_by_keras(backbone, examples, spec) if why_keras else features_by_litert(flatbuffer, examples, spec)
    return track(rows, progress, "frozen features", len(examples), why_keras)


class LiteRtBackbone:
    """Owns an interpreter and its buffers; for one thread at a time."""

    def __init__(self, path: Path, spec: PreprocessSpec) -> None:
        self._interpreter = open_interpreter(path, threads=1)
        # What the network sees for each byte, as Keras is given it.
        self._table = normalize(np.repeat(np.arange(256, dtype=np.uint8)[:, None], len(spec.mean), axis=1), spec)
        self._input = self._interpreter.tensor(self._interpreter.get_input_details()[0]["index"])
        self._output_index = self._interpreter.get_output_details()[0]["index"]

    def __call__(self, pixels: Image) -> Features:
        """Of prepared pixels, uint8 `[height, width, channels]`."""
        fill_input(pixels, self._table, self._input()[0])
        self._interpreter.invoke()
        features: Features = self._interpreter.get_tensor(self._output_index)[0]
        return features


def features_by_litert(path: Path, examples: Sequence[Example], spec: PreprocessSpec) -> Iterator[Features]:
    """By a float32 flatbuffer of the backbone."""
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
    """By the model itself, a batch at a time."""
    photos = prepared_photos(examples, spec)
    # Always of one size: another one may be computed in another order, and compiles anew.
    batch = np.zeros((_KERAS_BATCH, spec.height, spec.width, spec.channels), np.uint8)
    while pixels := list(islice(photos, _KERAS_BATCH)):
        batch[: len(pixels)] = pixels
        yield from backbone.predict_on_batch(normalize(batch, spec))[: len(pixels)]


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _why_keras(backbone: keras.Model, spec: PreprocessSpec, flatbuffer: Path) -> str:
    """In words, what speaks against LiteRT; where nothing does, the backbone is in `flatbuffer`."""
    if _has_gpu():
        return "by Keras on a GPU"
    if not flatbuffer.exists():
        content = convert(backbone, "float32", spec)
        try:
            with atomic_path(flatbuffer) as temporary:
                temporary.write_bytes(content)
                _compare(backbone, temporary, spec)
        except _DiffersError as error:
            return f"by Keras: {error}"
    return ""


class _DiffersError(Exception):
    """LiteRT computes something else than Keras, so the flatbuffer does not get its name."""


def _compare(backbone: keras.Model, file: Path, spec: PreprocessSpec) -> None:
    difference = _difference(backbone, file, spec)
    # Written so that NaN counts as a difference.
    if not difference <= TOLERANCE:
        raise _DiffersError(f"LiteRT differs by {difference:.2g}")


def _difference(backbone: keras.Model, file: Path, spec: PreprocessSpec) -> float:
    """The largest difference between Keras's features and a flatbuffer's, as a share of the largest feature."""
    frames = (synthetic_frame(seed, spec.height, spec.width) for seed in range(_COMPARED_IMAGES))
    pictures = [preprocess(frame, spec) for frame in frames]
    expected = backbone(normalize(np.stack(pictures), spec), training=False).numpy()
    engine = LiteRtBackbone(file, spec)
    actual = np.stack([engine(picture) for picture in pictures])
    return float(np.abs(actual - expected).max() / (np.abs(expected).max() or 1.0))
