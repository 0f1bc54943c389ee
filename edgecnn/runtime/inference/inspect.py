"""Description of a model file: its card, tensors and operators."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from edgecnn.core.model_file.model_file import ModelFile, sha256_of
from edgecnn.runtime.inference.interpreter import DELEGATED, Interpreter, find_runtime, open_interpreter, operator_names
from edgecnn.runtime.inference.tensors import TensorSpec, tensor_spec


def describe_model(model: ModelFile) -> dict[str, Any]:
    """Describe a model file as a JSON object.

    Args:
        model: Model file, with or without a card.

    Returns:
        `path`, `size_bytes`, `sha256`, `runtime`, `card`, `labels`, `preprocess`, `inputs`, `outputs`, `tensors`
        (number by dtype) and `operators` (number by name). Values that the file does not contain are None.

    Raises:
        ModelFileError: The interpreter cannot run the file.
    """
    interpreter = open_interpreter(model.path, threads=1)
    runtime = find_runtime()
    details = interpreter.get_tensor_details()
    return {
        "path": str(model.path),
        "size_bytes": model.path.stat().st_size,
        "sha256": sha256_of(model.path),
        "runtime": f"{runtime.package} {runtime.version}",
        "card": model.card.model_dump(mode="json") if model.card else None,
        "labels": list(model.labels) if model.labels else None,
        "preprocess": model.preprocess.model_dump(mode="json") if model.preprocess else None,
        "inputs": [_describe(tensor_spec(entry)) for entry in interpreter.get_input_details()],
        "outputs": [_describe(tensor_spec(entry)) for entry in interpreter.get_output_details()],
        "tensors": dict(Counter(str(np.dtype(entry["dtype"])) for entry in details).most_common()),
        "operators": _operators(interpreter),
    }


def _describe(tensor: TensorSpec) -> dict[str, Any]:
    quantization = {"scale": tensor.scale, "zero_point": tensor.zero_point} if tensor.quantized else None
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype),
        "quantization": quantization,
    }


def _operators(interpreter: Interpreter) -> dict[str, int] | None:
    """Return the number of operators by name; None if the interpreter package does not report them."""
    names = operator_names(interpreter)
    return None if names is None else dict(Counter(name for name in names if name != DELEGATED).most_common())
