"""Adding of standard metadata to a converted model, before the associated files are appended."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgecnn.core.model_file.model_file import TFLITE_IDENTIFIER
from edgecnn.core.model_file.tflite_metadata import METADATA_NAME, build_metadata
from edgecnn.core.preprocess import PreprocessSpec

_ALIGNMENT = 16


def add_metadata(flatbuffer: bytes, *, name: str, spec: PreprocessSpec, classes: int, weights_license: str) -> bytes:
    """Add a signature, and standard metadata (`M001`) that names the associated files.

    Args:
        flatbuffer: Converted model.
        name: Name of the model.
        spec: Preprocessing of the network.
        classes: Number of classes.
        weights_license: License of the pretrained weights; empty if there were none, because the weights learned from
            the user's photos belong to the user.

    Returns:
        The flatbuffer with metadata, to which the associated files can be appended.
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
    """Return the signature for callers by name: `serving_default`, from `image` to `output_0`, TensorFlow's names."""
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
    """A buffer whose data starts at a multiple of 16 bytes, as the schema requires (`force_align: 16`).

    The generated Python code would align it to 1 byte, but interpreters map weights in place.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the generated code calls this name
        """Write the buffer and return its offset."""
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
