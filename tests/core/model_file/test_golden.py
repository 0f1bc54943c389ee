from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgecnn.core.errors import ModelFileError
from edgecnn.core.model_file.golden import (
    GOLDEN_FILE,
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
from edgecnn.core.model_file.model_file import append_associated_files, network_sha256, read_model_file
from tests.pixel_model import pixel_card, pixel_model

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 24)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
dtypes = st.sampled_from(["float32", "uint8", "int8", "int16"])


# ---- pictures


def mix(n: int) -> int:
    n ^= n >> 16
    n = n * 0x7FEB352D % 2**32
    n ^= n >> 15
    n = n * 0x846CA68B % 2**32
    return n ^ n >> 16


def byte(n: int, c: int) -> int:
    return n >> 8 * c & 255


def value(seed: int, height: int, width: int, *, y: int, x: int, c: int) -> int:
    """Return one value of a picture, written exactly like the module's docstring."""

    def color(k: int) -> int:
        return byte(mix((4 * seed + k + 1) % 2**32), c)

    kind = (3 * y // height + 3 * x // width + seed) % 3
    if kind == 0:
        t, s = x + y, max(1, height + width - 2)
        return (color(0) * (s - t) + color(1) * t) // s
    if kind == 1:
        p = 3 + seed % 13
        return color(2) if (x // p + y // p) % 2 == 0 else color(3)
    return byte(mix((mix(seed) + y * width + x) % 2**32), c)


@given(seed=seeds, height=sides, width=sides)
def test_picture_follows_the_definition_in_the_docstring(seed: int, height: int, width: int) -> None:
    frame = synthetic_frame(seed, height, width)
    assert (frame.dtype, frame.shape) == (np.uint8, (height, width, 3))
    assert frame.tolist() == [
        [[value(seed, height, width, y=y, x=x, c=c) for c in range(3)] for x in range(width)] for y in range(height)
    ]


@pytest.mark.parametrize(
    ("seed", "height", "width", "digest"),
    [
        (0, 480, 640, "32ab66e02b2c311a94674fbbc269d5cd26a2d35b1d694e2efc559a11a55bf1c8"),
        (1, 641, 481, "099f8d1c655a0bd7927c7888f3a2e95b9fb7ca25f69d778981a0cb2b1c2246e7"),
        (2**32 - 1, 1, 1, "ac74e3af1cf8f09f870de20a8307ce49005c0c66f895231517d4b3b7f453e59b"),
    ],
)
def test_pictures_never_change(seed: int, height: int, width: int, digest: str) -> None:
    assert values_sha256(synthetic_frame(seed, height, width)) == digest


def test_picture_has_slopes_edges_and_noise_for_every_seed() -> None:
    for seed in range(3):
        patches = synthetic_frame(seed, 90, 90).reshape(3, 30, 3, 30, 3).transpose(0, 2, 1, 3, 4)
        colors = [len(np.unique(patch.reshape(-1, 3), axis=0)) for patch in patches.reshape(9, 30, 30, 3)]
        # Patches with two colors are edges; those with nearly as many colors as pixels are noise.
        assert sum(count == 2 for count in colors) == 3
        assert sum(count > 800 for count in colors) == 3


# ---- values


@given(dtypes.flatmap(lambda dtype: arrays(dtype, st.integers(0, 20))))
def test_outputs_survive_a_round_trip_to_the_bit(stored: np.ndarray[Any, Any]) -> None:
    decoded = decode_output(encode_output(stored), str(stored.dtype))
    assert decoded.dtype == stored.dtype
    assert decoded.tobytes() == stored.tobytes()


def test_hash_does_not_depend_on_memory_layout() -> None:
    values = np.arange(6, dtype=np.int16).reshape(2, 3)
    assert values_sha256(values) == values_sha256(values.astype(">i2")) == values_sha256(np.asfortranarray(values))
    assert values_sha256(values) != values_sha256(values.T)


# ---- JSON


kernels = st.builds(Kernels, package=texts, version=texts, delegate=st.none() | texts, machine=texts)


@st.composite
def goldens(draw: st.DrawFn) -> Golden:
    dtype = draw(dtypes)
    vectors = st.builds(
        GoldenVector,
        seed=seeds,
        height=st.integers(1, 4096),
        width=st.integers(1, 4096),
        frame_sha256=hashes,
        pixels_sha256=hashes,
        input_sha256=hashes,
        output=arrays(dtype, 4).map(encode_output),
        top=st.lists(st.builds(Ranked, st.integers(0, 3), texts), min_size=1, max_size=3).map(tuple),
    )
    return Golden(
        kernels=draw(kernels),
        network_sha256=draw(hashes),
        output_dtype=dtype,
        vectors=tuple(draw(st.lists(vectors, min_size=1, max_size=3))),
    )


@given(goldens())
def test_golden_vectors_survive_a_round_trip_through_json(golden: Golden) -> None:
    read = golden_from_json(golden.model_dump_json().encode(), "model.tflite")
    assert read == golden
    assert all(isinstance(best, Ranked) for vector in read.vectors for best in vector.top)


EXAMPLE = Golden(
    kernels=Kernels(package="ai-edge-litert", version="2.3.0", machine="x86_64"),
    network_sha256="0" * 64,
    output_dtype="uint8",
    vectors=(
        GoldenVector(
            seed=0,
            height=5,
            width=7,
            frame_sha256="1" * 64,
            pixels_sha256="2" * 64,
            input_sha256="3" * 64,
            output=encode_output(np.array([1, 255, 0], np.uint8)),
            top=(Ranked(1, "cat"), Ranked(0, "dog")),
        ),
    ),
)


def golden_with(**fields: Any) -> bytes:
    return json.dumps({**json.loads(EXAMPLE.model_dump_json()), **fields}).encode()


def with_vector(**fields: Any) -> bytes:
    (vector,) = json.loads(EXAMPLE.model_dump_json())["vectors"]
    return golden_with(vectors=[vector | fields])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (golden_with(color="red"), "color: Extra inputs are not permitted"),
        (golden_with(format_version=2), "format_version: Input should be 1, got 2"),
        (golden_with(vectors=[]), "vectors: "),
        (golden_with(network_sha256="abc"), "network_sha256: "),
        (golden_with(output_dtype="int16"), "the document: Value error, buffer size must be a multiple"),
        (with_vector(output="%"), "the document: Value error, "),
        (with_vector(height=10**6), "vectors.0.height: "),
        (with_vector(seed=-1), "vectors.0.seed: "),
        (with_vector(top=[]), "vectors.0.top: "),
        (b"{", "the document: Invalid JSON"),
    ],
)
def test_invalid_golden_vectors_are_refused_in_one_line(content: bytes, problem: str) -> None:
    with pytest.raises(ModelFileError, match=f"model.tflite: its golden vectors are invalid: {problem}") as caught:
        golden_from_json(content, "model.tflite")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; export the model again")


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"machine": "aarch64"}, True),
        ({"version": "2.4.0"}, False),
        ({"package": "tflite-runtime"}, False),
        ({"delegate": "libedgetpu.so.1"}, False),
    ],
    ids=str,
)
def test_family_of_kernels_does_not_depend_on_the_processor(fields: dict[str, str], same: bool) -> None:
    other = EXAMPLE.kernels.model_copy(update=fields)
    assert (other.family == EXAMPLE.kernels.family) == same


# ---- the model file


@pytest.fixture
def model(tmp_path: Path) -> Callable[[Golden | None], Path]:
    """Return a function that writes a model file with given golden vectors."""

    def write(golden: Golden | None) -> Path:
        path = tmp_path / "model.tflite"
        path.write_bytes(append_associated_files(pixel_model(1, 1), pixel_card(1, 1), golden))
        return path

    return write


def test_golden_vectors_are_stored_in_the_model_file(model: Callable[[Golden | None], Path]) -> None:
    path = model(EXAMPLE)
    read = read_model_file(path)
    assert read.golden is not None
    assert golden_from_json(read.golden, str(path)) == EXAMPLE
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "edgecnn.json", GOLDEN_FILE]
    assert path.read_bytes() == model(EXAMPLE).read_bytes()
    assert read_model_file(model(None)).golden is None


def test_hash_of_the_network_ignores_attached_files(model: Callable[[Golden | None], Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(pixel_model(1, 1))
    assert network_sha256(bare) == network_sha256(model(None)) == network_sha256(model(EXAMPLE))
    bare.write_bytes(pixel_model(1, 2))
    assert network_sha256(bare) != network_sha256(model(None))
