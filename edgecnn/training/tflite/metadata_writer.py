"""Putting standard metadata into a converted model; the associated files are then appended to it."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.core.model_file.model_file import TFLITE_IDENTIFIER
from edgecnn.core.model_file.tflite_metadata import METADATA_NAME, build_metadata
from edgecnn.core.preprocess import PreprocessSpec

_ALIGNMENT = 16


def add_metadata(flatbuffer: bytes, name: str, spec: PreprocessSpec, classes: int, weights_license: str) -> bytes:
    """The converted model with standard metadata (`M001`) that names the associated files, and a signature.

    `weights_license` is that of the pretrained weights, empty where there were none: what is learned from the user's
    photos is the user's.
    """
    metadata = build_metadata(name, spec, classes, weights_license)
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers)
    content = schema.BufferT()
    content.data = np.frombuffer(metadata, np.uint8)
    model.metadata = [*(model.metadata or ()), entry]
    model.signatureDefs = [_signature(model.subgraphs[0])]
    model.buffers = [_AlignedBuffer(buffer.data) for buffer in [*model.buffers, content]]
    builder = flatbuffers.Builder(len(flatbuffer) + len(metadata))
    builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def _signature(graph: schema.SubGraphT) -> schema.SignatureDefT:
    """What callers by name find: `serving_default`, from `image` to `output_0`, as TensorFlow names them."""
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    signature.inputs = [_named("image", graph.inputs[0])]
    signature.outputs = [_named("output_0", graph.outputs[0])]
    return signature


def _named(name: str, tensor_index: int) -> schema.TensorMapT:
    named = schema.TensorMapT()
    named.name, named.tensorIndex = name, int(tensor_index)
    return named


class _AlignedBuffer:
    """A buffer whose data starts at a multiple of 16 bytes, as the schema demands (`force_align: 16`).

    The generated Python code would align it to 1, and interpreters map weights in place.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the name that generated code calls
        vector = None
        if self._data is not None and len(self._data):
            data = np.ascontiguousarray(self._data, np.uint8).tobytes()
            builder.StartVector(1, len(data), _ALIGNMENT)
            head = builder.Head() - len(data)
            builder.head = head
            builder.Bytes[head : head + len(data)] = data
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))
