"""Classification of images of any size, as the model file specifies it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.frame import Prediction, PreparedFrame, Score, StageLatency
from edgecnn.core.labels import LabelMap, read_labels
from edgecnn.core.model_file.model_file import ModelFile, read_model_file
from edgecnn.core.preprocess import Image, Preprocessor, PreprocessSpec
from edgecnn.runtime.inference.delegate import DelegateRequest, open_delegated
from edgecnn.runtime.inference.image_argument import Channels, ImageArgument, image_pixels
from edgecnn.runtime.inference.interpreter import peek_interpreter
from edgecnn.runtime.inference.preprocess_option import parse_preprocess
from edgecnn.runtime.inference.tensors import (
    TensorSpec,
    byte_table,
    check_image_input,
    dequantize,
    fill_input,
    normalization_of,
    tensor_spec,
)
from edgecnn.runtime.inference.threshold import ranked, threshold_of

DEFAULT_TOP_K = 5
"""Number of classes in a prediction by default. Golden vectors record this many classes, so it must not change."""


class Classifier:
    """A model that is ready to classify images.

        classifier = Classifier("model.tflite")
        print(classifier.classify("photo.jpg").best)

    It owns an interpreter and its buffers, so two threads must not use it at the same time. If the model's input takes
    bytes, only the first call allocates an image: the resize writes directly into the input tensor.
    """

    def __init__(
        self,
        model: ModelFile | Path | str,
        *,
        threads: int = 1,
        top_k: int = DEFAULT_TOP_K,
        delegate: DelegateRequest | None = None,
        labels: Path | str | None = None,
        preprocess: str | None = None,
    ) -> None:
        """Open a model.

        Args:
            model: Path of a `.tflite` file, or a file that `load_model` has read.
            threads: Number of threads of the interpreter, at least 1.
            top_k: Number of classes in each prediction, at least 1. A model with fewer classes lists all of them.
            delegate: Accelerator library to use; None for the processor.
            labels: File with one label per line, for a model file without a model card.
            preprocess: Preprocessing in the syntax of `--preprocess`, for a model file without a model card.

        Raises:
            InputError: The model file is missing, invalid or incomplete, or an option is out of range.
            MissingDependency: No TFLite interpreter is installed.
        """
        if top_k < 1:
            raise InputError(f"expected top-k of 1 or more, got {top_k}")
        if threads < 1:
            raise InputError(f"expected 1 thread or more, got {threads}")
        model_file = model if isinstance(model, ModelFile) else read_model_file(model)
        self.model = _override(model_file, labels, preprocess)
        # `delegate` is the name of the library that runs the model, or None if the runtime's own kernels run it.
        self._interpreter, self.delegate = open_delegated(self.model.path, threads=threads, request=delegate)
        self.input, self.output = _only_tensors(self._interpreter, self.model.path)
        self.labels = _checked_labels(self.model, self.output)
        self.preprocess = _checked_preprocess(self.model, self.input)
        self.threshold = threshold_of(self.model.card)
        self.threads = threads
        self.top_k = min(top_k, len(self.labels))
        self._preprocessor = Preprocessor(self.preprocess)
        self._table = byte_table(self.preprocess, self.input)
        self._pixels: Image = np.empty(self.input.shape[1:], np.uint8)
        self._rgb: Image = np.empty((0, 0, 3), np.uint8)
        # These functions return views of the tensors. A view must be dropped before the next invoke.
        self._input_view = self._interpreter.tensor(self.input.index)
        self._output_view = self._interpreter.tensor(self.output.index)

    def classify(self, image: ImageArgument, *, channels: Channels = "rgb") -> Prediction:
        """Classify one image of any size.

        OpenCV returns images in BGR order: pass `channels="bgr"` for an array from `cv2.imread` or `cv2.VideoCapture`.
        With the wrong order, red and blue are swapped and predictions are unreliable, without an error.

        Args:
            image: Path of an image file, or a uint8 array of shape `[height, width, 3]`.
            channels: Order of the array's channels; leave it out for a path.

        Returns:
            The best `top_k` classes, best first, and the time of each stage; reading a file is not part of it. If the
            model card has a threshold, the class that it decides on is first.

        Raises:
            InputError: The file cannot be read, the array is not an image, or `channels` is unknown.
        """
        pixels = image_pixels(image, channels)
        started = time.perf_counter_ns()
        self._fill(pixels if channels == "rgb" else self._from_bgr(pixels))
        return self._invoke((time.perf_counter_ns() - started) / 1e6)

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        """Classify a frame that was already preprocessed with `preprocess`, for example by another thread."""
        started = time.perf_counter_ns()
        self._fill_prepared(prepared.pixels)
        return self._invoke(prepared.spent_ms + (time.perf_counter_ns() - started) / 1e6)

    def probabilities(self, image: Image) -> NDArray[np.float32]:
        """Return the `[classes]` float32 probabilities of an image (uint8 HWC RGB, any size)."""
        self._fill(image)
        self._interpreter.invoke()
        return self.last_probabilities()

    def last_probabilities(self) -> NDArray[np.float32]:
        """Return the `[classes]` float32 probabilities of the last prediction, in a new array."""
        return dequantize(self._output_view().reshape(-1), self.output)

    def _invoke(self, preprocess_ms: float) -> Prediction:
        """Run the network on its input tensor."""
        started = time.perf_counter_ns()
        self._interpreter.invoke()
        invoked = time.perf_counter_ns()
        top = self._best()
        done = time.perf_counter_ns()
        return Prediction(top, StageLatency(preprocess_ms, (invoked - started) / 1e6, (done - invoked) / 1e6))

    def _from_bgr(self, image: Image) -> Image:
        if self._rgb.shape != image.shape:
            self._rgb = np.empty(image.shape, np.uint8)
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=self._rgb)
        return self._rgb

    def _fill(self, image: Image) -> None:
        if self._table is None:
            self._preprocessor(image, self._input_view()[0])
        else:
            self._fill_prepared(self._preprocessor(image, self._pixels))

    def _fill_prepared(self, pixels: Image) -> None:
        if self._table is None:
            np.copyto(self._input_view()[0], pixels)
        else:
            fill_input(pixels, self._table, self._input_view()[0])

    def _best(self) -> tuple[Score, ...]:
        # Quantization preserves the order, so ranking works on stored values. Only a threshold needs real values.
        stored = self._output_view().reshape(-1)
        comparable = stored if self.threshold is None else dequantize(stored, self.output)
        best = ranked(comparable, self.top_k, self.threshold)
        scores = dequantize(stored[best], self.output)
        return tuple(
            Score(self.labels[index], index, score) for index, score in zip(best.tolist(), scores.tolist(), strict=True)
        )


def load_model(path: Path | str, *, labels: Path | str | None = None, preprocess: str | None = None) -> ModelFile:
    """Read a model file.

    Args:
        path: Path of a `.tflite` file, with or without a model card.
        labels: File with one label per line; it overrides the labels in the model file.
        preprocess: Preprocessing in the syntax of `--preprocess`, see `parse_preprocess`; it overrides that of the
            model file.

    Returns:
        The model file with the overrides applied. Its weights are not loaded yet.

    Raises:
        InputError: A file cannot be read or is invalid, or `preprocess` cannot be parsed.
    """
    return _override(read_model_file(path), labels, preprocess)


@overload
def classify(  # type: ignore[overload-overlap] # A str is one path here, although it is also a Sequence[str].
    model: Classifier | ModelFile | Path | str,
    images: ImageArgument,
    *,
    top_k: int | None = None,
    threads: int = 1,
    channels: Channels = "rgb",
    labels: Path | str | None = None,
    preprocess: str | None = None,
) -> Prediction: ...


@overload
def classify(
    model: Classifier | ModelFile | Path | str,
    images: Sequence[ImageArgument],
    *,
    top_k: int | None = None,
    threads: int = 1,
    channels: Channels = "rgb",
    labels: Path | str | None = None,
    preprocess: str | None = None,
) -> list[Prediction]: ...


def classify(
    model: Classifier | ModelFile | Path | str,
    images: ImageArgument | Sequence[ImageArgument],
    *,
    top_k: int | None = None,
    threads: int = 1,
    channels: Channels = "rgb",
    labels: Path | str | None = None,
    preprocess: str | None = None,
) -> Prediction | list[Prediction]:
    """Classify one image or several.

    Opening a model takes longer than classifying an image. Pass all images at once, or pass a `Classifier` to reuse it.

    Args:
        model: Path of a `.tflite` file, a file that `load_model` has read, or a `Classifier`.
        images: One image or a sequence of images. Each is the path of an image file or a uint8 array of shape
            `[height, width, 3]`.
        top_k: Number of classes in each prediction; 5 by default. A `Classifier` has its own.
        threads: Number of threads of the interpreter. A `Classifier` has its own.
        channels: Order of an array's channels. Pass "bgr" for arrays from OpenCV, and leave it out for paths.
        labels: File with one label per line, for a model file without a model card.
        preprocess: Preprocessing in the syntax of `--preprocess`, for a model file without a model card.

    Returns:
        A prediction for one image; a list of predictions, in order, for a sequence.

    Raises:
        InputError: The model or an image cannot be used, or an option is out of range or contradicts a `Classifier`.
        MissingDependency: No TFLite interpreter is installed.
    """
    if not isinstance(model, Classifier):
        top_k = DEFAULT_TOP_K if top_k is None else top_k
        model = Classifier(model, threads=threads, top_k=top_k, labels=labels, preprocess=preprocess)
    elif (top_k, threads, labels, preprocess) != (None, 1, None, None):
        raise InputError("a Classifier has its own top_k, threads, labels and preprocess; set them when you create it")
    if isinstance(images, str) or not isinstance(images, Sequence):
        return model.classify(images, channels=channels)
    return [model.classify(image, channels=channels) for image in images]


def _override(model: ModelFile, labels: Path | str | None, preprocess: str | None) -> ModelFile:
    if labels is None and preprocess is None:
        return model
    spec = parse_preprocess(preprocess, _tensors_of(model.path)[0], model) if preprocess is not None else None
    return model.with_overrides(read_labels(Path(labels)) if labels else None, spec)


def _tensors_of(path: Path) -> tuple[TensorSpec, TensorSpec]:
    return _only_tensors(peek_interpreter(path), path)


def _only_tensors(interpreter: Any, path: Path) -> tuple[TensorSpec, TensorSpec]:
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelFileError(f"{path}: expected one input and one output, got {len(inputs)} and {len(outputs)}")
    image, scores = tensor_spec(inputs[0]), tensor_spec(outputs[0])
    check_image_input(image, path)
    if len(scores.shape) < 2 or math.prod(scores.shape) != scores.shape[-1]:
        raise ModelFileError(f"{path}: expected an output of shape [1, classes], got {list(scores.shape)}")
    return image, scores


def _checked_labels(model: ModelFile, output: TensorSpec) -> LabelMap:
    classes = output.shape[-1]
    if model.labels is None:
        raise ModelFileError(
            f"{model.path} contains no labels; provide its {classes} labels with --labels FILE, one per line"
        )
    if len(model.labels) != classes:
        raise ModelFileError(
            f"{model.path} has {classes} outputs and {len(model.labels)} labels; use one label per output"
        )
    return model.labels


def _checked_preprocess(model: ModelFile, image: TensorSpec) -> PreprocessSpec:
    spec = model.preprocess
    if spec is None:
        known = model.normalization or normalization_of(image)
        hint = "center_crop:0.875" if known else "center_crop:0.875,mean=127.5,std=127.5"
        raise ModelFileError(
            f"{model.path} does not specify its preprocessing; add --preprocess, for example --preprocess {hint}"
        )
    if (spec.height, spec.width, spec.channels) != image.shape[1:]:
        raise ModelFileError(
            f"{model.path} takes {image.shape[1]}x{image.shape[2]} pixels of {_color(image.shape[3])} and its "
            f"preprocessing gives {spec.height}x{spec.width} of {_color(spec.channels)}"
        )
    return spec


def _color(channels: int) -> str:
    return "gray" if channels == 1 else "RGB"
