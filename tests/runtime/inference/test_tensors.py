from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from edgecnn.core.errors import ModelFileError
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.tensors import (
    TensorSpec,
    best_indices,
    byte_table,
    check_image_input,
    dequantize,
    fill_input,
    normalization_of,
    tensor_spec,
)


def a_tensor(dtype: str, scale: float = 0.0, zero_point: int = 0, shape: tuple[int, ...] = (1, 4, 5, 3)) -> TensorSpec:
    return TensorSpec(0, "image", shape, np.dtype(dtype), scale, zero_point)


def a_spec(mean: tuple[float, ...], std: tuple[float, ...]) -> PreprocessSpec:
    return PreprocessSpec(height=4, width=5, mean=mean, std=std)


scales = st.floats(1e-4, 1)
vectors = st.one_of(
    npst.arrays(np.uint8, st.integers(1, 200), elements=st.integers(0, 255) | st.sampled_from([0, 255])),
    npst.arrays(np.int8, st.integers(1, 200), elements=st.integers(-128, 127) | st.sampled_from([-128, 127])),
    npst.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1, 1, width=32) | st.sampled_from([0.0, -0.0])),
)


@given(vectors, st.data())
def test_the_best_indices_are_those_of_a_stable_sort(stored: NDArray[np.float32], draw: st.DataObject) -> None:
    count = draw.draw(st.integers(1, len(stored)))
    values = stored.tolist()
    expected = sorted(range(len(values)), key=lambda index: (-values[index], index))[:count]
    assert best_indices(stored, count).tolist() == expected


@given(npst.arrays(np.float32, st.integers(1, 30), elements=st.floats(width=32)), st.data())
def test_nan_is_ranked_last_and_no_index_is_lost(stored: NDArray[np.float32], draw: st.DataObject) -> None:
    count = draw.draw(st.integers(1, len(stored)))
    best = stored[best_indices(stored, count)]
    numbers = np.sort(stored[~np.isnan(stored)])[::-1][:count]
    assert len(best) == count
    assert np.array_equal(best[: len(numbers)], numbers)
    assert np.isnan(best[len(numbers) :]).all()


@given(scales, st.integers(0, 255))
def test_bytes_are_stored_unchanged_with_the_normalization_of_the_quantization(scale: float, zero_point: int) -> None:
    tensor = a_tensor("uint8", scale, zero_point)
    known = normalization_of(tensor)
    assert known is not None
    mean, std = known
    assert byte_table(a_spec((mean,) * 3, (std,) * 3), tensor) is None


@pytest.mark.parametrize("difference", [(1.0, 0.0, 0.0), (0.0, 0.0, -1.0)])
def test_any_other_normalization_needs_a_table(difference: tuple[float, float, float]) -> None:
    mean = tuple(128 + value for value in difference)
    table = byte_table(a_spec((mean[0], mean[1], mean[2]), (64,) * 3), a_tensor("uint8", 1 / 64, 128))
    assert table is not None
    assert table[100].tolist() == [100 - value for value in difference]
    assert (table[0].tolist(), table[255].tolist()) == (
        [max(0, -value) for value in difference],
        [min(255, 255 - value) for value in difference],
    )


def test_a_float_table_contains_normalized_values_by_channel() -> None:
    table = byte_table(a_spec((0, 127.5, 255), (1, 127.5, 51)), a_tensor("float32"))
    assert table is not None
    assert table.shape == (256, 3)
    assert table.dtype == np.float32
    assert table[[0, 51, 255]].tolist() == [[0, -1, -5], [51, np.float32(-0.6), -4], [255, 1, 0]]


def test_a_table_for_gray_has_one_column() -> None:
    gray = a_tensor("uint8", 1 / 200, 20, shape=(1, 4, 5, 1))
    assert byte_table(a_spec((20,), (200,)), gray) is None
    other = byte_table(a_spec((21,), (200,)), gray)
    assert other is not None
    assert other.shape == (256, 1)
    assert other[100, 0] == 99


@given(
    st.sampled_from(["uint8", "int8", "int16"]),
    scales,
    st.integers(-100, 100),
    st.floats(-300, 300),
    st.floats(0.1, 300),
)
def test_table_entries_are_within_half_a_step_of_the_value_or_clipped_to_the_range(
    dtype: str, scale: float, zero_point: int, mean: float, std: float
) -> None:
    tensor = a_tensor(dtype, scale, zero_point)
    table = byte_table(a_spec((mean,) * 3, (std,) * 3), tensor)
    stored = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1) if table is None else table
    limits = np.iinfo(dtype)
    real = (np.arange(256) - mean) / std / scale + zero_point
    nearest = np.clip(real, limits.min, limits.max)
    assert np.abs(stored[:, 0].astype(np.float64) - nearest).max() <= 0.5 + 1e-6
    assert stored.dtype == tensor.dtype


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float32"])
def test_gray_is_looked_up_in_its_only_column(dtype: str) -> None:
    table = np.arange(256)[::-1, None].astype(np.uint8).astype(dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 1), np.uint8)
    out = np.full((4, 5, 1), 9, dtype)
    fill_input(pixels, table, out)
    assert np.array_equal(out, table[pixels[..., 0]])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float32"])
def test_every_channel_is_looked_up_in_its_own_column(dtype: str) -> None:
    table = np.stack([np.arange(256), np.arange(256)[::-1], np.zeros(256)], axis=1).astype(np.uint8).astype(dtype)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    out = np.full((4, 5, 3), 9, dtype)
    fill_input(pixels, table, out)
    assert np.array_equal(out, np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=2))


@given(npst.arrays(np.uint8, 10), scales, st.integers(0, 255))
def test_dequantizing_uses_scale_and_zero_point(stored: NDArray[np.uint8], scale: float, zero_point: int) -> None:
    real = dequantize(stored, a_tensor("uint8", scale, zero_point))
    assert real.dtype == np.float32
    assert np.allclose(real, (stored.astype(float) - zero_point) * scale, rtol=1e-6)


def test_dequantizing_floats_copies_them() -> None:
    stored = np.array([0.25, 0.75], np.float32)
    real = dequantize(stored, a_tensor("float32"))
    assert np.array_equal(real, stored)
    assert not np.shares_memory(real, stored)


def test_tensor_details_of_the_interpreter_are_converted() -> None:
    details = {
        "index": np.int64(7),
        "name": "image",
        "shape": np.array([1, 4, 5, 3], np.int32),
        "dtype": np.uint8,
        "quantization": (0.5, 3),
    }
    tensor = tensor_spec(details)
    assert tensor == TensorSpec(7, "image", (1, 4, 5, 3), np.dtype(np.uint8), 0.5, 3)
    assert tensor.quantized
    assert not tensor_spec({**details, "quantization": (0.0, 0)}).quantized


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_only_unsigned_bytes_have_a_known_normalization(dtype: str) -> None:
    assert normalization_of(a_tensor(dtype, 0.5, 3)) is None


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 4, 5, 3), (4, 5, 3), (1, 4, 5, 2), (1, 60)])
def test_an_input_that_does_not_take_an_image_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelFileError, match=r"m\.tflite: expected an input of shape .*, got"):
        check_image_input(a_tensor("uint8", shape=shape), "m.tflite")
    for channels in (1, 3):
        assert check_image_input(a_tensor("uint8", shape=(1, 4, 5, channels)), "m.tflite") == (4, 5)
