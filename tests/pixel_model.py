"""Tiny models whose output is the flattened input, so that every byte of a picture is the score of a class."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.core.model_file.card import ClassThreshold, ModelCard
from edgecnn.core.model_file.model_file import append_associated_files
from edgecnn.core.model_file.tflite_metadata import METADATA_NAME, build_metadata
from edgecnn.core.preprocess import PreprocessSpec

SCALE, ZERO_POINT = 1 / 64, 128
"""Quantization of the quantized models: a byte stands for (byte - 128) / 64."""

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
}


def pixel_model(
    height: int,
    width: int,
    dtype: str = "uint8",
    *,
    quantized: bool = True,
    channels: int = 3,
    output_rank: int = 2,
    metadata: bytes | None = None,
) -> bytes:
    """Build a model of one RESHAPE: `[1, height, width, channels]` to `[1, 1 ..., height * width * channels]`."""
    classes = height * width * channels
    shapes = [1, height, width, channels], [*[1] * (output_rank - 1), classes]
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    model.operatorCodes = [code]
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor(name, shape, dtype, quantized=quantized and dtype != "float32")
        for name, shape in zip(("picture", "bytes"), shapes, strict=True)
    ]
    graph.inputs, graph.outputs = [0], [1]
    graph.operators = [_reshape(shapes[1])]
    model.subgraphs = [graph]
    if metadata is not None:
        entry, content = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer, content.data = METADATA_NAME, 1, np.frombuffer(metadata, np.uint8)
        model.metadata = [entry]
        model.buffers.append(content)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def pixel_spec(height: int, width: int, channels: int = 3) -> PreprocessSpec:
    """Return preprocessing that does not change a picture of this size; SCALE and ZERO_POINT follow from it."""
    mean, std = (ZERO_POINT,) * channels, (1 / SCALE,) * channels
    return PreprocessSpec(height=height, width=width, resize="squash", mean=mean, std=std)


def pixel_card(height: int, width: int, labels: tuple[str, ...] | None = None, *, channels: int = 3) -> ModelCard:
    return ModelCard(
        name="pixels",
        backbone="none",
        precision="int8",
        preprocess=pixel_spec(height, width, channels),
        labels=labels or tuple(f"byte {index}" for index in range(height * width * channels)),
        created=datetime(2024, 2, 29, 12, tzinfo=UTC),
    )


def with_threshold(card: ModelCard, label: str, minimum: float) -> ModelCard:
    """Return a card whose model decides for `label` if its score is at least `minimum`."""
    threshold = ClassThreshold(
        label=label,
        min_recall=0.9,
        threshold=minimum,
        recall=0.95,
        precision=0.5,
        recall_before=0.7,
        precision_before=0.8,
        photos=20,
        recall_ci95=(0.75, 1.0),
    )
    return ModelCard.model_validate({**card.model_dump(), "threshold": threshold})


def write_pixel_model(folder: Path, height: int, width: int, dtype: str = "uint8", *, channels: int = 3) -> Path:
    """Write a complete edgecnn file: model, standard metadata, labels and card."""
    card = pixel_card(height, width, channels=channels)
    metadata = build_metadata(card.name, card.preprocess, len(card.labels), "Apache-2.0")
    path = folder / f"pixels-{dtype}-{height}x{width}.tflite"
    network = pixel_model(height, width, dtype, channels=channels, metadata=metadata)
    path.write_bytes(append_associated_files(network, card))
    return path


def _tensor(name: str, shape: list[int], dtype: str, *, quantized: bool) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, _TYPES[dtype], 0
    if quantized:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [SCALE]
        tensor.quantization.zeroPoint = [ZERO_POINT - (128 if dtype == "int8" else 0)]
    return tensor


def _reshape(shape: list[int]) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    operator.builtinOptions = schema.ReshapeOptionsT()
    operator.builtinOptions.newShape = np.array(shape, np.int32)
    return operator
