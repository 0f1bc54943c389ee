"""From an image of any size to the best classes, by what the model file says."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import InputError, ModelFileError
from edgecnn.core.frame import Prediction, PreparedFrame, Score, StageLatency
from edgecnn.core.labels import LabelMap, read_labels
from edgecnn.core.model_file.model_file import ModelFile, read_model_file
from edgecnn.core.preprocess import Image, Preprocessor, PreprocessSpec
from edgecnn.runtime.inference.delegate import DelegateRequest, open_delegated
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


class Classifier:
    """Owns an interpreter and its buffers; not for use by two threads at once.

    After the first call, a call on a model whose input takes bytes allocates no image: the resize writes straight into
    the input tensor.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        threads: int = 1,
        top_k: int = DEFAULT_TOP_K,
        delegate: DelegateRequest | None = None,
    ) -> None:
        if top_k < 1:
            raise InputError(f"expected top-k of 1 or more, got {top_k}")
        if threads < 1:
            raise InputError(f"expected 1 thread or more, got {threads}")
        # `delegate` is the name of the library that runs the model; None where the runtime's own kernels do.
        self._interpreter, self.delegate = open_delegated(model.path, threads=threads, request=delegate)
        self.input, self.output = _only_tensors(self._interpreter, model.path)
        self.labels = _checked_labels(model, self.output)
        self.preprocess = _checked_preprocess(model, self.input)
        self.model = model
        self.threshold = threshold_of(model.card)
        self.threads = threads
        self.top_k = min(top_k, len(self.labels))
        self._preprocessor = Preprocessor(self.preprocess)
        self._table = byte_table(self.preprocess, self.input)
        self._pixels: Image = np.empty(self.input.shape[1:], np.uint8)
        # Functions that give a view of the tensor; a view must not outlive the next invoke.
        self._input_view = self._interpreter.tensor(self.input.index)
        self._output_view = self._interpreter.tensor(self.output.index)

    def classify(self, image: Image) -> Prediction:
        """The best `top_k` classes of `image` (uint8 HWC RGB, any size), with the time of each stage.

        Where the model card has a threshold, the class that is decided on by it comes first.
        """
        started = time.perf_counter_ns()
        self._fill(image)
        return self._classified((time.perf_counter_ns() - started) / 1e6)

    def classify_prepared(self, prepared: PreparedFrame) -> Prediction:
        """The same for a frame that `preprocess` was applied to already, maybe by another thread meanwhile."""
        started = time.perf_counter_ns()
        self._fill_prepared(prepared.pixels)
        return self._classified(prepared.spent_ms + (time.perf_counter_ns() - started) / 1e6)

    def probabilities(self, image: Image) -> NDArray[np.float32]:
        """`[classes]` float32 probabilities of `image`."""
        self._fill(image)
        self._interpreter.invoke()
        return self.last_probabilities()

    def last_probabilities(self) -> NDArray[np.float32]:
        """`[classes]` float32 probabilities behind the last prediction, in an array of their own."""
        return dequantize(self._output_view().reshape(-1), self.output)

    def _classified(self, preprocess_ms: float) -> Prediction:
        """What the network makes of its input tensor."""
        started = time.perf_counter_ns()
        self._interpreter.invoke()
        invoked = time.perf_counter_ns()
        top = self._best()
        done = time.perf_counter_ns()
        return Prediction(top, StageLatency(preprocess_ms, (invoked - started) / 1e6, (done - invoked) / 1e6))

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
        # Quantization keeps order, so ranking needs no real values, but a threshold is one.
        stored = self._output_view().reshape(-1)
        comparable = stored if self.threshold is None else dequantize(stored, self.output)
        best = ranked(comparable, self.top_k, self.threshold)
        scores = dequantize(stored[best], self.output)
        return tuple(
            Score(self.labels[index], index, score) for index, score in zip(best.tolist(), scores.tolist(), strict=True)
        )


def load_model(path: Path | str, *, labels: Path | str | None = None, preprocess: str | None = None) -> ModelFile:
    """Reads a model file; `labels` and `preprocess` say what a file made by others does not.

    `preprocess` is what `--preprocess` takes, see `parse_preprocess`. Raises `InputError`.
    """
    model = read_model_file(path)
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
        raise ModelFileError(f"{model.path} names no classes; give its {classes} labels with --labels FILE, one a line")
    if len(model.labels) != classes:
        raise ModelFileError(f"{model.path} has {classes} outputs and {len(model.labels)} labels; they must be as many")
    return model.labels


def _checked_preprocess(model: ModelFile, image: TensorSpec) -> PreprocessSpec:
    spec = model.preprocess
    if spec is None:
        known = model.normalization or normalization_of(image)
        hint = "center_crop:0.875" if known else "center_crop:0.875,mean=127.5,std=127.5"
        raise ModelFileError(
            f"{model.path} does not say how to prepare images; add --preprocess, for example --preprocess {hint}"
        )
    if (spec.height, spec.width, spec.channels) != image.shape[1:]:
        raise ModelFileError(
            f"{model.path} takes {image.shape[1]}x{image.shape[2]} pixels of {_channels(image.shape[3])} and its "
            f"preprocessing gives {spec.height}x{spec.width} of {_channels(spec.channels)}"
        )
    return spec


def _channels(count: int) -> str:
    return "gray" if count == 1 else "RGB"
