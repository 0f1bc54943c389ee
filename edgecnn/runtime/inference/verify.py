"""Verification that this machine computes the same as the exporting one, with a model file's golden vectors."""

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
"""Tolerance for the rounding error of sums of probabilities and differences."""

Stage = Literal["network", "frame", "pixels", "input", "output", "ranking"]
"""Stages in the order of the data; each is computed from the one before. `network` stands for the bytes of the file."""

VECTOR_STAGES: tuple[Stage, ...] = get_args(Stage)[1:]


class Tolerance(NamedTuple):
    """Largest difference in probability that passes, for kernels of the same family and of another one."""

    same_family: float
    other_family: float


# Everything up to the input tensor is integer arithmetic, or float64 that is rounded once, so it is equal to the bit on
# every machine and has no tolerance.
TOLERANCES: dict[Precision, Tolerance] = {
    # Processors add in different orders. The observed differences are below 3e-6 in all families.
    "float32": Tolerance(1e-5, 1e-5),
    "float16": Tolerance(1e-5, 1e-5),
    # Activations are quantized at run time, from floats whose last bit may tip a rounding. The observed differences are
    # up to 0.03 between processors and 0.23 between families.
    "dynamic": Tolerance(0.1, 0.3),
    # Integer arithmetic gives the same result on every processor, but each family rounds in its own way after every
    # layer. The synthetic pictures show nothing, so the network is undecided and rounding has its largest effect. The
    # observed difference is 53 steps of 1/256; 64 are allowed.
    "int8": Tolerance(0.0, 0.25),
    "int16x8": Tolerance(1e-5, 1e-3),
}


@dataclass(frozen=True, slots=True)
class VectorResult:
    """Result of one golden vector."""

    expected: GoldenVector
    equal: dict[Stage, bool]
    """Stages of `VECTOR_STAGES` that agree: `output` within the tolerance, the others to the bit."""
    max_difference: float
    """Largest difference among the outputs, in probability."""
    max_steps: int | None
    """`max_difference` in steps of a quantized output; None for a float output."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Results of a model's golden vectors on this machine. A network that is not the exported one was not run."""

    model: ModelFile
    card: ModelCard
    expected: Kernels
    here: Kernels
    same_family: bool
    tolerance: float
    """Tolerance for the outputs, in probability."""
    network_intact: bool
    vectors: tuple[VectorResult, ...]


def verify(model: ModelFile, *, threads: int = 1, delegate: DelegateRequest | None = None) -> Verification:
    """Run a model's golden vectors on this machine and compare every stage.

    Args:
        model: Model file with golden vectors.
        threads: Number of threads of the interpreter.
        delegate: Delegate to verify; None for the processor.

    Returns:
        The comparison. `enforce` raises an error if a stage differs.

    Raises:
        ModelFileError: The file has no golden vectors, or they do not match its network.
        InputError: `Classifier` cannot open the model.
        MissingDependency: No TFLite interpreter is installed.
    """
    if model.golden is None or model.card is None:
        raise ModelFileError(f"{model.path} has no golden vectors to verify with; export it again with this edgecnn")
    golden = golden_from_json(model.golden, str(model.path))
    # Do not open a network that is not the exported one.
    intact = network_sha256(model.path) == golden.network_sha256
    classifier = _classifier_for(model, golden, threads, delegate) if intact else None
    here = kernels_here(None if classifier is None else classifier.delegate)
    same_family = here.family == golden.kernels.family
    allowed = TOLERANCES[model.card.precision]
    tolerance = allowed.same_family if same_family else allowed.other_family
    results = () if classifier is None else _run(classifier, golden, tolerance)
    return Verification(model, model.card, golden.kernels, here, same_family, tolerance, intact, results)


def kernels_here(delegate: str | None) -> Kernels:
    """Describe the software and hardware that compute networks on this machine.

    Args:
        delegate: Name of the delegate in use; None without one.

    Returns:
        Package, version, delegate and machine.

    Raises:
        MissingDependency: No TFLite interpreter is installed.
    """
    runtime = find_runtime()
    return Kernels(package=runtime.package, version=runtime.version, delegate=delegate, machine=platform.machine())


def observe(classifier: Classifier, seed: int, height: int, width: int) -> GoldenVector:
    """Classify a synthetic picture and record every stage.

    Export stores the result as a golden vector; a verification compares it with the stored one.

    Args:
        classifier: The model to run.
        seed: Seed of the picture.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.

    Returns:
        Hashes of the stages, the output and the ranking.
    """
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
        top=tuple(Ranked(score.index, score.label) for score in prediction.top),
    )


def _classifier_for(model: ModelFile, golden: Golden, threads: int, delegate: DelegateRequest | None) -> Classifier:
    top_k = max(len(vector.top) for vector in golden.vectors)
    return Classifier(model, threads=threads, top_k=top_k, delegate=delegate)


def _run(classifier: Classifier, golden: Golden, tolerance: float) -> tuple[VectorResult, ...]:
    _check_outputs(golden, classifier)
    observed = [observe(classifier, vector.seed, vector.height, vector.width) for vector in golden.vectors]
    return tuple(
        _compare(expected, actual, classifier, tolerance)
        for expected, actual in zip(golden.vectors, observed, strict=True)
    )


def _check_outputs(golden: Golden, classifier: Classifier) -> None:
    """Raise a `ModelFileError` if the golden vectors differ from the network in number or type of outputs."""
    dtype, classes = str(classifier.output.dtype), len(classifier.labels)
    for vector in golden.vectors:
        size = decode_output(vector.output, golden.output_dtype).size
        if (golden.output_dtype, size) != (dtype, classes):
            raise ModelFileError(
                f"{classifier.model.path}: its golden vectors have {size} outputs of {golden.output_dtype}, its "
                f"network has {classes} of {dtype}; export it again"
            )


def _compare(expected: GoldenVector, actual: GoldenVector, classifier: Classifier, tolerance: float) -> VectorResult:
    tensor = classifier.output
    expected_output, actual_output = (
        dequantize(decode_output(vector.output, str(tensor.dtype)), tensor) for vector in (expected, actual)
    )
    difference = float(np.abs(actual_output - expected_output).max())
    equal: dict[Stage, bool] = {
        "frame": actual.frame_sha256 == expected.frame_sha256,
        "pixels": actual.pixels_sha256 == expected.pixels_sha256,
        "input": actual.input_sha256 == expected.input_sha256,
        "output": difference <= tolerance,
        "ranking": _is_same_ranking(expected, actual, expected_output, difference, classifier.threshold),
    }
    steps = round(difference / tensor.scale) if tensor.quantized else None
    return VectorResult(expected, equal, difference, steps)


def _is_same_ranking(
    expected: GoldenVector,
    actual: GoldenVector,
    expected_output: NDArray[np.float32],
    difference: float,
    threshold: Threshold | None,
) -> bool:
    """Return True if labels and order are those expected, allowing for the difference between the outputs."""
    if actual.output == expected.output:
        return actual.top[: len(expected.top)] == expected.top
    labels = dict(expected.top)
    first, *others = [ranked.class_index for ranked in actual.top]
    return (
        all(labels.get(index, label) == label for index, label in actual.top)
        and _may_be_decided(first, expected_output, difference, threshold)
        and _may_be_ordered(others, first, expected_output, difference)
    )


def _may_be_decided(
    index: int, expected_output: NDArray[np.float32], difference: float, threshold: Threshold | None
) -> bool:
    """Return True if outputs within `difference` of the expected ones may decide on the class `index`."""
    if threshold is None:
        return _may_be_ordered([index], None, expected_output, difference)
    watched_output = float(expected_output[threshold.class_index])
    if index == threshold.class_index:
        return watched_output + difference >= threshold.minimum - _ROUNDING
    always_reached = watched_output - difference >= threshold.minimum + _ROUNDING
    return not always_reached and _may_be_ordered([index], threshold.class_index, expected_output, difference)


def _may_be_ordered(
    classes: Sequence[int], excluded: int | None, expected_output: NDArray[np.float32], difference: float
) -> bool:
    """Return True if outputs within `difference` of the expected ones may rank `classes` first and in this order.

    The class `excluded` is left out of the ranking.
    """
    rest = expected_output if excluded is None else np.delete(expected_output, excluded)
    # Two classes can swap only if their expected outputs are less than twice the difference apart.
    lowest = np.sort(rest)[::-1] - 2 * difference - _ROUNDING
    return all(bool(expected_output[index] >= lowest[rank]) for rank, index in enumerate(classes))


def _input_of(pixels: Image, classifier: Classifier) -> NDArray[Any]:
    """Return the values that the input tensor stores for prepared pixels."""
    table = byte_table(classifier.preprocess, classifier.input)
    if table is None:
        return pixels
    stored = np.empty(pixels.shape, classifier.input.dtype)
    fill_input(pixels, table, stored)
    return stored


def _output_of(classifier: Classifier) -> NDArray[Any]:
    """Return the values that the output tensor stores.

    This inverts `dequantize` exactly, because a quantization step is far larger than the rounding error of float32.
    """
    real, tensor = classifier.last_probabilities(), classifier.output
    if not tensor.quantized:
        return real.astype(tensor.dtype)
    return np.rint(real.astype(np.float64) / tensor.scale + tensor.zero_point).astype(tensor.dtype)
