"""Checks that a model file must pass before it gets its name, with the interpreter that the device uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import Example
from edgecnn.core.errors import ExportError
from edgecnn.core.images import read_image
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.model_file import read_model_file
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.interpreter import open_interpreter
from edgecnn.runtime.inference.tensors import byte_table
from edgecnn.training.keras import keras
from edgecnn.training.normalization import normalize
from edgecnn.training.quantization.quantization_aware import input_quantization

FLOAT32_TOLERANCE = 1e-4
"""Largest allowed difference in probability between Keras and a float32 file: both add in float32, in different orders.
"""
_COMPARED_IMAGES = 16


def check_model_file(path: Path, card: ModelCard, model: keras.Model, images: Sequence[Image]) -> None:
    """Check that a file contains its card, and that its network is the expected one.

    A float32 file must compute the same as Keras. An int8 file must be fully integer and take a camera's bytes as
    input.

    Args:
        path: Model file.
        card: Card that was written into the file.
        model: Float model that the file was made from.
        images: Preprocessed photos, uint8 `[height, width, channels]`. If there are none, random pixels are used.

    Raises:
        ExportError: A check failed.
    """
    model_file = read_model_file(path)
    if model_file.card != card:
        raise ExportError("the model card does not read back as it was written; nothing was written")
    classifier = Classifier(model_file)
    if card.precision == "float32":
        _check_against_keras(path, classifier.preprocess, model, images)
    if card.precision == "int8":
        _check_all_integer(path)
        _check_input_quantization(classifier)


def file_probabilities(path: Path, examples: Sequence[Example], progress: Progress = silent) -> NDArray[np.float32]:
    """Classify photos with a model file, through the device's own classifier.

    Args:
        path: Model file with a card.
        examples: Photos; at least one.
        progress: Called after each photo.

    Returns:
        Probabilities, float32 `[n, classes]`.
    """
    classifier = Classifier(read_model_file(path))
    answers = np.empty((len(examples), len(classifier.labels)), np.float32)
    for index, example in enumerate(examples):
        answers[index] = classifier.probabilities(read_image(example.path))
        progress("measuring the file", index + 1, len(examples))
    return answers


def _check_against_keras(path: Path, spec: PreprocessSpec, model: keras.Model, images: Sequence[Image]) -> None:
    inputs = normalize(np.stack(images[:_COMPARED_IMAGES] or [_noise(spec)]), spec)
    interpreter = open_interpreter(path, threads=1)
    actual = np.empty((len(inputs), model.output_shape[-1]), np.float32)
    for index, image in enumerate(inputs):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        actual[index] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    difference = float(np.abs(model.predict_on_batch(inputs) - actual).max())
    if not difference <= FLOAT32_TOLERANCE:
        raise ExportError(
            f"the converted float32 model differs from Keras by {difference:.2g} in probability, more than the "
            f"allowed {FLOAT32_TOLERANCE:g}; nothing was written"
        )


def _check_all_integer(path: Path) -> None:
    tensors = open_interpreter(path, threads=1).get_tensor_details()
    floats = [tensor["name"] for tensor in tensors if np.issubdtype(tensor["dtype"], np.floating)]
    if floats:
        raise ExportError(f"{len(floats)} tensors of the int8 model are still float, the first is {floats[0]!r}")


def _check_input_quantization(classifier: Classifier) -> None:
    scale, zero_point = input_quantization(classifier.preprocess)
    image = classifier.input
    # The converter computes the scale in float32, with a division that can round its last bit.
    same = image.zero_point == zero_point and np.isclose(image.scale, scale, rtol=1e-6, atol=0)
    if image.dtype != np.uint8 or not same or byte_table(classifier.preprocess, image) is not None:
        raise ExportError(
            f"the int8 model's input is {image.dtype} with scale {image.scale:g} and zero point {image.zero_point}, "
            f"expected uint8 with {scale:g} and {zero_point}"
        )


def _noise(spec: PreprocessSpec) -> Image:
    return np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, spec.channels), np.uint8)
