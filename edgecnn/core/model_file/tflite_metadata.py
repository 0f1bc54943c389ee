"""Standard TFLite metadata, the flatbuffer with file identifier `M001`, which other programs read and write too.

The field numbers come from `metadata_schema.fbs` (version 1.1.0, TensorFlow Lite Support) and, for the few tables of
the model itself, from `schema.fbs` (TensorFlow Lite, version 3). Only the fields of an image classifier are supported.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from flatbuffers import Builder, number_types
from flatbuffers.table import Table

from edgecnn.core.preprocess import PreprocessSpec

METADATA_NAME = "TFLITE_METADATA"
"""Name of the model's metadata entry whose buffer contains the flatbuffer."""
FILE_IDENTIFIER = b"M001"
LABELS_FILE = "labels.txt"

DAMAGED = (struct.error, IndexError, TypeError, ValueError)
"""Errors of the readers for truncated bytes or no flatbuffer: an offset, index, number or name is impossible."""

_TENSOR_AXIS_LABELS = 2
_COLOR_SPACES = {3: 1, 1: 2}
"""`ColorSpaceType` by number of channels: RGB, GRAYSCALE."""
_IMAGE_PROPERTIES = 2
_NORMALIZATION_OPTIONS = 1
_MIN_PARSER_VERSION = "1.0.0"

_NOTHING: Mapping[int, int] = MappingProxyType({})


class Normalization(NamedTuple):
    """Normalization `(x - mean) / std`, with one value for all channels or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


# ---- writing


def build_metadata(name: str, spec: PreprocessSpec, classes: int, license_name: str) -> bytes:
    """Build the `M001` flatbuffer of an image classifier whose output axis is labeled by `labels.txt`.

    Args:
        name: Name of the model.
        spec: Preprocessing, for the size, color space and normalization of the input.
        classes: Number of outputs.
        license_name: License of the weights; empty to omit it.

    Returns:
        Bytes of the flatbuffer.
    """
    builder = Builder(1024)
    inputs = _table_vector(builder, [_input_tensor(builder, spec)])
    outputs = _table_vector(builder, [_output_tensor(builder, classes)])
    model = _table(
        builder,
        {
            0: builder.CreateString(name),
            1: builder.CreateString(f"Image classifier of {classes} classes."),
            3: _table_vector(builder, [_table(builder, {2: inputs, 3: outputs})]),
            **({5: builder.CreateString(license_name)} if license_name else {}),
            7: builder.CreateString(_MIN_PARSER_VERSION),
        },
    )
    builder.Finish(model, file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _input_tensor(builder: Builder, spec: PreprocessSpec) -> int:
    size = _table(builder, uints={0: spec.width, 1: spec.height})
    image = _table(builder, {1: size}, enums={0: _COLOR_SPACES[spec.channels]})
    options = _table(builder, {0: _float_vector(builder, spec.mean), 1: _float_vector(builder, spec.std)})
    normalization = _table(builder, {1: options}, enums={0: _NORMALIZATION_OPTIONS})
    # Statistics describe the values of the tensor, which are normalized.
    lowest, highest = (
        [(level - mean) / std for mean, std in zip(spec.mean, spec.std, strict=True)] for level in (0, 255)
    )
    return _table(
        builder,
        {
            0: builder.CreateString("image"),
            1: builder.CreateString("RGB image." if spec.channels == 3 else "Grayscale image."),
            3: _table(builder, {1: image}, enums={0: _IMAGE_PROPERTIES}),
            4: _table_vector(builder, [normalization]),
            5: _statistics(builder, lowest, highest),
        },
    )


def _output_tensor(builder: Builder, classes: int) -> int:
    labels = _table(builder, {0: builder.CreateString(LABELS_FILE)}, enums={2: _TENSOR_AXIS_LABELS})
    return _table(
        builder,
        {
            0: builder.CreateString("probability"),
            1: builder.CreateString(f"Probabilities of the {classes} classes."),
            5: _statistics(builder, [0.0], [1.0]),
            6: _table_vector(builder, [labels]),
        },
    )


def _statistics(builder: Builder, lowest: Sequence[float], highest: Sequence[float]) -> int:
    return _table(builder, {0: _float_vector(builder, highest), 1: _float_vector(builder, lowest)})


def _table(
    builder: Builder,
    offsets: Mapping[int, int] = _NOTHING,
    *,
    enums: Mapping[int, int] = _NOTHING,
    uints: Mapping[int, int] = _NOTHING,
) -> int:
    """Write a table by field numbers: offsets of objects written before, 8-bit enumerations, 32-bit integers."""
    builder.StartObject(1 + max((*offsets, *enums, *uints)))
    for field, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in uints.items():
        builder.PrependUint32Slot(field, number, 0)
    for field, choice in enums.items():
        builder.PrependUint8Slot(field, choice, 0)
    return int(builder.EndObject())


def _table_vector(builder: Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _float_vector(builder: Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


# ---- reading


def find_metadata(model: bytes) -> bytes | None:
    """Find the `M001` flatbuffer in a model.

    Args:
        model: Bytes of a `.tflite` file.

    Returns:
        Bytes of the metadata, or None if the model has none.
    """
    root = _root(model)
    for entry in _tables(root, 6):
        if _string(entry, 0) == METADATA_NAME:
            return _bytes(list(_tables(root, 4))[_uint(entry, 1)], 0)
    return None


def read_normalization(metadata: bytes) -> Normalization | None:
    """Read the normalization of the input.

    Args:
        metadata: `M001` flatbuffer.

    Returns:
        The normalization, or None if the metadata does not state it.
    """
    for subgraph in _tables(_root(metadata), 3):
        for tensor in _tables(subgraph, 2):
            for unit in _tables(tensor, 4):
                options = _child(unit, 1)
                if options is not None and _byte(unit, 0) == _NORMALIZATION_OPTIONS:
                    return Normalization(tuple(_floats(options, 0)), tuple(_floats(options, 1)))
    return None


def read_label_files(metadata: bytes) -> list[str]:
    """Read the names of the associated files that label the output axis.

    Args:
        metadata: `M001` flatbuffer.

    Returns:
        File names, in the order of the metadata.
    """
    return [
        name
        for subgraph in _tables(_root(metadata), 3)
        for tensor in _tables(subgraph, 3)
        for file in _tables(tensor, 6)
        if _byte(file, 2) == _TENSOR_AXIS_LABELS and (name := _string(file, 0))
    ]


def _root(content: bytes) -> Table:
    return Table(content, int.from_bytes(content[:4], "little"))


def _field(table: Table, field: int) -> int:
    """Return the position of a field's value, or 0 if it is absent.

    A vtable starts with two 16-bit sizes, followed by one entry per field.
    """
    offset = int(table.Offset(4 + 2 * field))
    return table.Pos + offset if offset else 0


def _child(table: Table, field: int) -> Table | None:
    position = _field(table, field)
    return Table(table.Bytes, table.Indirect(position)) if position else None


def _tables(table: Table, field: int) -> Iterator[Table]:
    position = _field(table, field)
    if position:
        start = table.Vector(position - table.Pos)
        for index in range(table.VectorLen(position - table.Pos)):
            yield Table(table.Bytes, table.Indirect(start + 4 * index))


def _string(table: Table, field: int) -> str:
    return _bytes(table, field).decode()


def _bytes(table: Table, field: int) -> bytes:
    position = _field(table, field)
    if not position:
        return b""
    start = table.Vector(position - table.Pos)
    end = start + table.VectorLen(position - table.Pos)
    # A slice beyond the end would be short without an error.
    if end > len(table.Bytes):
        raise IndexError(f"bytes {start} to {end} of {len(table.Bytes)}")
    return bytes(table.Bytes[start:end])


def _floats(table: Table, field: int) -> list[float]:
    position = _field(table, field)
    if not position:
        return []
    start = table.Vector(position - table.Pos)
    return [
        float(table.Get(number_types.Float32Flags, start + 4 * index))
        for index in range(table.VectorLen(position - table.Pos))
    ]


def _uint(table: Table, field: int) -> int:
    position = _field(table, field)
    return int(table.Get(number_types.Uint32Flags, position)) if position else 0


def _byte(table: Table, field: int) -> int:
    position = _field(table, field)
    return int(table.Get(number_types.Uint8Flags, position)) if position else 0
