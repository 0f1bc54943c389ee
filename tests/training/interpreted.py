"""Outputs of model files in the interpreter, and the quantization parameters in their flatbuffers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from edgecnn.runtime.inference.interpreter import open_interpreter
from edgecnn.runtime.inference.tensors import dequantize, tensor_spec


def interpret(path: Path, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Return real values `[n, classes]` for inputs `[n, height, width, 3]` of the file's own input type."""
    interpreter = open_interpreter(path, threads=1)
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for values in inputs:
        interpreter.set_tensor(image["index"], values[None])
        interpreter.invoke()
        results.append(dequantize(interpreter.get_tensor(scores["index"])[0], tensor_spec(scores)))
    return np.stack(results)


class Kernel(NamedTuple):
    """The quantized weights of one operator."""

    operator: str
    shape: tuple[int, ...]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]


def kernels(flatbuffer: bytes) -> Iterator[Kernel]:
    """Yield the weights of every convolution and dense layer of a quantized model."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    names = {
        schema.BuiltinOperator.CONV_2D: "conv",
        schema.BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
        schema.BuiltinOperator.FULLY_CONNECTED: "dense",
    }
    (graph,) = model.subgraphs
    for operator in graph.operators:
        name = names.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if name is not None:
            tensor = graph.tensors[operator.inputs[1]]
            quantization = tensor.quantization
            yield Kernel(name, tuple(tensor.shape), np.array(quantization.scale), np.array(quantization.zeroPoint))
