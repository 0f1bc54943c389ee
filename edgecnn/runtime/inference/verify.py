"""Does this machine compute what the exporting one did? A model file's golden vectors, run again stage by stage."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.errors import ModelFileError
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.golden import (
    Golden,
    GoldenVector,
    Kernels,
    Ranked,
    decode_output,
    encode_output,
    golden_from_json,
    synthetic_frame,
    values_sha256,
)
from edgecnn.core.model_file.model_file import ModelFile, network_sha256
from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import Image, Preprocessor
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.delegate import DelegateRequest
from edgecnn.runtime.inference.interpreter import find_runtime
from edgecnn.runtime.inference.tensors import byte_table, dequantize, fill_input
from edgecnn.runtime.inference.threshold import Threshold

_ROUNDING = 1e-6
"""By so much a sum of probabilities and differences may be off."""

Stage = Literal["network", "frame", "pixels", "input", "output", "ranking"]
"""In the order of the data, each made from the one before; `network` is the file's own bytes."""

VECTOR_STAGES: tuple[Stage, ...] = get_args(Stage)[1:]


class Tolerance(NamedTuple):
    """The largest difference in probability that passes, by whether the kernels are of one family."""

    same_family: float
    other_family: float


# Everything up to the input tensor is integers, or float64 that is rounded once: equal to the bit on every machine.
TOLERANCES: dict[Precision, Tolerance] = {
    # Processors add in different orders: seen are differences below 3e-6, in all families.
    "float32": Tolerance(1e-5, 1e-5),
    "float16": Tolerance(1e-5, 1e-5),
    # Activations are quantized as they come, from floats whose last bit may tip a rounding: seen are differences up to
    # 0.03 between processors and 0.23 between families.
    "dynamic": Tolerance(0.1, 0.3),
    # Integers leave a processor no choice, but each family rounds in its own way after every layer. A picture of
    # nothing leaves a network undecided, where that tells most: seen are 53 steps of 1/256, allowed are 64.
    "int8": Tolerance(0.0, 0.25),
    "int16x8": Tolerance(1e-5, 1e-3),
}


@dataclass(frozen=True, slots=True)
class VectorResult:
    """How a golden vector came out."""

    expected: GoldenVector
    equal: dict[Stage, bool]
    """By `VECTOR_STAGES`; `output` within the tolerance, the others to the bit."""
    max_difference: float
    """The largest among the outputs, in probability."""
    max_steps: int | None
    """The same in steps of a quantized output."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a machine made of a model's golden vectors; nothing was run of a network that is not the exported one."""

    model: ModelFile
    card: ModelCard
    expected: Kernels
    here: Kernels
    same_family: bool
    tolerance: float
    """For the outputs, in probability."""
    network_intact: bool
    vectors: tuple[VectorResult, ...]


def verify(model: ModelFile, *, threads: int = 1, delegate: DelegateRequest | None = None) -> Verification:
    """Runs a model's golden vectors through this machine's classifier.

    Raises `ModelFileError` for a file without any, and what `Classifier` does.
    """
    if model.golden is None or model.card is None:
        raise ModelFileError(f"{model.path} has no golden vectors to verify with; export it again with this edgecnn")
    golden = golden_from_json(model.golden, str(model.path))
    # A network that is not the exported one is not even opened.
    intact = network_sha256(model.path) == golden.network_sha256
    classifier = _classifier_for(model, golden, threads, delegate) if intact else None
    here = kernels_here(None if classifier is None else classifier.delegate)
    same_family = here.family == golden.kernels.family
    allowed = TOLERANCES[model.card.precision]
    tolerance = allowed.same_family if same_family else allowed.other_family
    results = () if classifier is None else _run(classifier, golden, tolerance)
    return Verification(model, model.card, golden.kernels, here, same_family, tolerance, intact, results)


def kernels_here(delegate: str | None) -> Kernels:
    """What computes networks on this machine, with that `delegate` in use. Raises `MissingDependency`."""
    runtime = find_runtime()
    return Kernels(package=runtime.package, version=runtime.version, delegate=delegate, machine=platform.machine())


def observe(classifier: Classifier, seed: int, height: int, width: int) -> GoldenVector:
    """What `classifier` makes of a synthetic picture: a golden vector where it is exported, a result elsewhere."""
    frame = synthetic_frame(seed, height, width)
    pixels = Preprocessor(classifier.preprocess)(frame)
    prediction = classifier.classify(frame)
    return GoldenVector(
        seed=seed,
        height=height,
        width=width,
        frame_sha256=values_sha256(frame),
        pixels_sha256=values_sha256(pixels),
        input_sha256=values_sha256(_input_of(pixels, classifier)),
        output=encode_output(_output_of(classifier)),
        top=tuple(Ranked(best.index, best.label) for best in prediction.top),
    )


def _classifier_for(model: ModelFile, golden: Golden, threads: int, delegate: DelegateRequest | None) -> Classifier:
    top_k = max(len(vector.top) for vector in golden.vectors)
    return Classifier(model, threads=threads, top_k=top_k, delegate=delegate)


def _run(classifier: Classifier, golden: Golden, tolerance: float) -> tuple[VectorResult, ...]:
    _check_outputs(golden, classifier)
    here = [observe(classifier, vector.seed, vector.height, vector.width) for vector in golden.vectors]
    return tuple(
        _compared(expected, found, classifier, tolerance) for expected, found in zip(golden.vectors, here, strict=True)
    )


def _check_outputs(golden: Golden, classifier: Classifier) -> None:
    """Raises `ModelFileError` unless the golden vectors have as many outputs of the same type as the network."""
    dtype, classes = str(classifier.output.dtype), len(classifier.labels)
    for vector in golden.vectors:
        size = decode_output(vector.output, golden.output_dtype).size
        if (golden.output_dtype, size) != (dtype, classes):
            raise ModelFileError(
                f"{classifier.model.path}: its golden vectors have {size} outputs of {golden.output_dtype}, its "
                f"network {classes} of {dtype}; export it again"
            )


def _compared(expected: GoldenVector, here: GoldenVector, classifier: Classifier, tolerance: float) -> VectorResult:
    tensor = classifier.output
    before, now = (dequantize(decode_output(vector.output, str(tensor.dtype)), tensor) for vector in (expected, here))
    difference = float(np.abs(now - before).max())
    equal: dict[Stage, bool] = {
        "frame": here.frame_sha256 == expected.frame_sha256,
        "pixels": here.pixels_sha256 == expected.pixels_sha256,
        "input": here.input_sha256 == expected.input_sha256,
        "output": difference <= tolerance,
        "ranking": _ranked_alike(expected, here, before, difference, classifier.threshold),
    }
    steps = round(difference / tensor.scale) if tensor.quantized else None
    return VectorResult(expected, equal, difference, steps)


def _ranked_alike(
    expected: GoldenVector,
    here: GoldenVector,
    before: NDArray[np.float32],
    difference: float,
    threshold: Threshold | None,
) -> bool:
    """Whether this machine puts the classes into the order that follows from its outputs, under the same names."""
    if here.output == expected.output:
        return here.top[: len(expected.top)] == expected.top
    names = dict(expected.top)
    first, *others = [ranked.class_index for ranked in here.top]
    return (
        all(names.get(index, label) == label for index, label in here.top)
        and _may_be_decided(first, before, difference, threshold)
        and _may_be_ordered(others, first, before, difference)
    )


def _may_be_decided(decided: int, before: NDArray[np.float32], difference: float, threshold: Threshold | None) -> bool:
    """Whether outputs off by at most `difference` from those `before` may decide on this class."""
    if threshold is None:
        return _may_be_ordered([decided], None, before, difference)
    own = float(before[threshold.class_index])
    if decided == threshold.class_index:
        return own + difference >= threshold.minimum - _ROUNDING
    reached_anyway = own - difference >= threshold.minimum + _ROUNDING
    return not reached_anyway and _may_be_ordered([decided], threshold.class_index, before, difference)


def _may_be_ordered(
    classes: Sequence[int], without: int | None, before: NDArray[np.float32], difference: float
) -> bool:
    """Whether outputs off by at most `difference` may rank these first, in this order, the class `without` aside."""
    rest = before if without is None else np.delete(before, without)
    # They may swap classes that were less than twice that apart, and no others.
    lowest = np.sort(rest)[::-1] - 2 * difference - _ROUNDING
    return all(bool(before[index] >= lowest[rank]) for rank, index in enumerate(classes))


def _input_of(pixels: Image, classifier: Classifier) -> NDArray[Any]:
    """What the input tensor stores for prepared pixels."""
    table = byte_table(classifier.preprocess, classifier.input)
    if table is None:
        return pixels
    stored = np.empty(pixels.shape, classifier.input.dtype)
    fill_input(pixels, table, stored)
    return stored


def _output_of(classifier: Classifier) -> NDArray[Any]:
    """What the output tensor stores: `dequantize` undone, exactly, as a step is far above float32's rounding."""
    real, tensor = classifier.last_probabilities(), classifier.output
    if not tensor.quantized:
        return real.astype(tensor.dtype)
    return np.rint(real.astype(np.float64) / tensor.scale + tensor.zero_point).astype(tensor.dtype)
