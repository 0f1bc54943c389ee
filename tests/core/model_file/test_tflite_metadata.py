from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from flatbuffers.number_types import Uint8Flags, Uint32Flags
from flatbuffers.table import Table
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.model_file.tflite_metadata import (
    DAMAGED,
    build_metadata,
    find_metadata,
    read_label_files,
    read_normalization,
)
from edgecnn.core.preprocess import PreprocessSpec
from tests.pixel_model import pixel_model, pixel_spec

float32s = st.floats(-1e3, 1e3, width=32)
positive = st.floats(0.125, 1e3, width=32)


@given(
    st.tuples(float32s, float32s, float32s),
    st.tuples(positive, positive, positive),
    st.integers(1, 2000),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_written_metadata_is_read_back(
    mean: tuple[float, float, float], std: tuple[float, float, float], classes: int, name: str
) -> None:
    metadata = build_metadata(name, PreprocessSpec(height=64, width=96, mean=mean, std=std), classes, "Apache-2.0")
    assert metadata[4:8] == b"M001"
    assert name.encode() in metadata
    assert read_normalization(metadata) == (mean, std)
    assert read_label_files(metadata) == ["labels.txt"]


def field(table: Table, number: int) -> int:
    """Return the offset of a field from its table."""
    offset = int(table.Offset(4 + 2 * number))
    assert offset
    return offset


def child(table: Table, number: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Pos + field(table, number)))


def first(table: Table, number: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Vector(field(table, number))))


def test_input_size_is_in_the_fields_of_the_schema() -> None:
    metadata = build_metadata("m", pixel_spec(height=1234, width=5678), 2, "Apache-2.0")
    subgraph = first(Table(metadata, struct.unpack_from("<I", metadata)[0]), 3)
    size = child(child(child(first(subgraph, 2), 3), 1), 1)
    width, height = (size.Get(Uint32Flags, size.Pos + field(size, number)) for number in (0, 1))
    assert (height, width) == (1234, 5678)


@pytest.mark.parametrize(("channels", "color_space"), [(3, 1), (1, 2)])
def test_color_space_follows_the_number_of_channels(channels: int, color_space: int) -> None:
    metadata = build_metadata("m", pixel_spec(4, 4, channels), 2, "Apache-2.0")
    subgraph = first(Table(metadata, struct.unpack_from("<I", metadata)[0]), 3)
    image = child(child(first(subgraph, 2), 3), 1)
    assert image.Get(Uint8Flags, image.Pos + field(image, 0)) == color_space
    assert read_normalization(metadata) == ((128.0,) * channels, (64.0,) * channels)


@pytest.mark.parametrize("license_name", ["CC BY 4.0", ""])
def test_license_of_the_weights_is_optional(license_name: str) -> None:
    metadata = build_metadata("m", pixel_spec(4, 4), 2, license_name)
    model = Table(metadata, struct.unpack_from("<I", metadata)[0])
    assert bool(model.Offset(4 + 2 * 5)) == bool(license_name)
    assert license_name.encode() in metadata


def test_statistics_describe_normalized_values() -> None:
    spec = PreprocessSpec(height=1, width=1, mean=(0, 1, 2), std=(1, 2, 4))
    metadata = build_metadata("m", spec, 2, "Apache-2.0")
    assert struct.pack("<I3f", 3, 0, -0.5, -0.5) in metadata
    assert struct.pack("<I3f", 3, 255, 127, 63.25) in metadata


def test_metadata_is_found_if_the_model_has_any() -> None:
    metadata = build_metadata("m", pixel_spec(2, 2), 12, "Apache-2.0")
    assert find_metadata(pixel_model(2, 2, metadata=metadata)) == metadata
    assert find_metadata(pixel_model(2, 2)) is None


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1_0.25_128_quant.tflite",
        "mobilenet_v2_1.0_224_quant.tflite",
        "tf2_mobilenet_v2_1.0_224_ptq.tflite",
    ],
)
def test_third_party_metadata_is_read(data: Path, name: str) -> None:
    metadata = find_metadata((data / "third_party_models" / name).read_bytes())
    assert metadata is not None
    assert metadata[4:8] == b"M001"
    assert read_normalization(metadata) == ((127.5,), (127.5,))
    assert read_label_files(metadata) == ["imagenet_labels.txt"]


def test_metadata_without_normalization_and_labels_is_valid() -> None:
    # A root table with an empty vtable, as written by a program that sets no field.
    empty = struct.pack("<I4sHHi", 12, b"M001", 4, 4, 4)
    assert read_normalization(empty) is None
    assert read_label_files(empty) == []


METADATA = build_metadata("m", pixel_spec(2, 2), 12, "Apache-2.0")
MODEL = pixel_model(2, 2, metadata=METADATA)


def read_all(metadata: bytes) -> None:
    read_normalization(metadata)
    read_label_files(metadata)


@pytest.mark.parametrize("read", [read_all, find_metadata])
@given(part=st.floats(0, 1))
def test_truncated_bytes_raise_only_documented_errors(part: float, read: Callable[[bytes], object]) -> None:
    whole = METADATA if read is read_all else MODEL
    with contextlib.suppress(*DAMAGED):
        read(whole[: int(part * len(whole))])


@pytest.mark.parametrize("read", [read_all, find_metadata])
@given(position=st.integers(0, 1000), noise=st.binary(min_size=1, max_size=200))
def test_overwritten_bytes_raise_only_documented_errors(
    position: int, noise: bytes, read: Callable[[bytes], object]
) -> None:
    whole = METADATA if read is read_all else MODEL
    with contextlib.suppress(*DAMAGED):
        read(whole[:position] + noise + whole[position + len(noise) :])
