"""Conversion of a Keras model to a TFLite flatbuffer, in each precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.runtime.inference.native_output import native_output_hidden
from edgecnn.training.keras import keras, tf
from edgecnn.training.normalization import normalize


def convert(model: keras.Model, precision: Precision, spec: PreprocessSpec, calibration: Sequence[Image] = ()) -> bytes:
    """Convert a model to a TFLite flatbuffer.

    Args:
        model: Model from normalized images to probabilities.
        precision: Precision of the result.
        spec: Preprocessing of the network.
        calibration: Preprocessed images, uint8 `[height, width, channels]`. int8 and int16x8 need them, unless `model`
            is quantization-aware: such a model has its own ranges, and `calibration` must be empty.

    Returns:
        The flatbuffer, without metadata. Its input is `[1, height, width, channels]`.
    """
    # A concrete function has a fixed batch of 1: interpreters in browsers reject a batch of -1.
    signature = tf.TensorSpec([1, spec.height, spec.width, spec.channels], tf.float32, name="image")
    function = tf.function(lambda image: model(image, training=False)).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    # Freeze the function directly. Writing and reading a saved model gives the same network and takes twice the time.
    converter.experimental_lower_to_saved_model = False
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision in ("int8", "int16x8") and len(calibration):
        converter.representative_dataset = lambda: _calibration_inputs(calibration, spec)
        converter.target_spec.supported_ops = [_OPS[precision]]
    if precision == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    with native_output_hidden():
        return bytes(converter.convert())


_OPS: dict[str, Any] = {
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}


def _calibration_inputs(images: Sequence[Image], spec: PreprocessSpec) -> Iterator[list[NDArray[np.float32]]]:
    for image in (with_extremes(images[0]), *images[1:]):
        yield [normalize(image[None], spec)]


def with_extremes(image: Image) -> Image:
    """Return a copy of an image whose first two pixels are black and white.

    The converter derives the scale of the input from the lowest and highest value that it sees. If these are the bytes
    0 and 255, the results are exactly scale = 1 / std and zero_point = mean, so a camera's bytes are the input tensor.

    Args:
        image: Preprocessed image, uint8 `[height, width, channels]`, at least two pixels wide.

    Returns:
        The changed copy.
    """
    marked = image.copy()
    marked[0, 0], marked[0, 1] = 0, 255
    return marked
