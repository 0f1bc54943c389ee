from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.training.summary.formulas import (
    Field,
    Window,
    batch_norm_parameters,
    convolution_parameters,
    dense_parameters,
    depthwise_parameters,
    field_through,
    macs,
    merge_fields,
    output_length,
    padded_window,
)

lengths = st.integers(1, 300)
kernels = st.integers(1, 11)
strides = st.integers(1, 5)
dilations = st.integers(1, 4)


def field_of(*windows: Window) -> Field:
    field = Field()
    for window in windows:
        field = field_through(field, window)
    return field


# ---- textbook examples


def test_window_of_3_over_5_pixels_with_padding_of_1_gives_5() -> None:
    assert output_length(5, Window(kernel=3, before=1, after=1)) == 5
    assert padded_window(5, 3, padding="same") == Window(kernel=3, before=1, after=1)


def test_window_of_3_over_5_pixels_with_stride_2_gives_2() -> None:
    assert output_length(5, padded_window(5, 3, stride=2)) == 2


def test_five_poolings_reduce_224_pixels_to_7() -> None:
    length = 224
    cascade = []
    for _ in range(5):
        length = output_length(length, padded_window(length, 2, stride=2))
        cascade.append(length)
    assert cascade == [112, 56, 28, 14, 7]


def test_32_filters_of_3x3_on_rgb_have_896_parameters() -> None:
    assert convolution_parameters((3, 3), 3, 32) == 896
    assert convolution_parameters((3, 3), 3, 1, bias=False) == 27


def test_hidden_layer_of_1000_on_224x224_rgb_has_150_million_parameters() -> None:
    assert dense_parameters(224 * 224 * 3, 1000) == 150_529_000


def test_stacked_windows_of_3_have_the_field_of_windows_of_5_and_7() -> None:
    three = Window(kernel=3, before=1, after=1)
    assert field_of(three, three) == field_of(Window(kernel=5, before=2, after=2))
    assert field_of(three, three, three) == field_of(Window(kernel=7, before=3, after=3))


def test_two_3x3_layers_need_18_weights_per_channel_pair_instead_of_25() -> None:
    def weights(kernel: int) -> int:
        return convolution_parameters((kernel, kernel), 1, 1, bias=False)

    assert (2 * weights(3), weights(5)) == (18, 25)
    assert 1 - 3 * weights(3) / weights(7) == pytest.approx(0.45, abs=0.005)


# ---- sizes


@given(lengths, kernels, strides, dilations)
def test_same_padding_gives_length_over_stride_rounded_up(length: int, kernel: int, stride: int, dilation: int) -> None:
    window = padded_window(length, kernel, stride, "same", dilation)
    assert output_length(length, window) == -(-length // stride)
    assert window.after - window.before in (0, 1)


def test_stride_of_2_over_even_length_is_padded_only_after() -> None:
    assert padded_window(224, 3, 2, "same") == Window(kernel=3, stride=2, before=0, after=1)
    assert padded_window(225, 3, 2, "same") == Window(kernel=3, stride=2, before=1, after=1)


@given(lengths, st.builds(Window, kernels, strides, st.integers(0, 5), st.integers(0, 5), dilations))
def test_output_length_counts_the_positions_of_the_window(length: int, window: Window) -> None:
    positions = range(-window.before, length + window.after - window.span + 1, window.stride)
    if positions:
        assert output_length(length, window) == len(positions)
    else:
        with pytest.raises(InputError, match=f"a window of {window.span}, got {length}"):
            output_length(length, window)


# ---- counts


def test_separable_convolution_has_an_eighth_of_the_parameters() -> None:
    separable = depthwise_parameters((3, 3), 64, bias=False) + convolution_parameters((1, 1), 64, 64, bias=False)
    assert separable / convolution_parameters((3, 3), 64, 64, bias=False) == pytest.approx(1 / 64 + 1 / 9)


def test_convolution_with_one_channel_per_group_is_depthwise() -> None:
    assert convolution_parameters((3, 3), 8, 16, groups=8) == depthwise_parameters((3, 3), 8, multiplier=2)


def test_batch_normalization_has_two_parameters_and_two_statistics_per_channel() -> None:
    assert batch_norm_parameters(32) == (64, 64)
    assert batch_norm_parameters(32, scale=False) == (32, 64)


def test_each_weight_multiplies_once_per_output_position() -> None:
    assert macs(convolution_parameters((3, 3), 3, 32, bias=False), 112 * 112) == 10_838_016


# ---- receptive field


@given(st.lists(st.builds(Window, kernels, strides, st.integers(0, 5), st.integers(0, 5), dilations), max_size=5))
def test_recurrence_finds_the_pixels_that_the_windows_reach(windows: list[Window]) -> None:
    field = field_of(*windows)
    for output in (0, 3):
        first = last = output
        for window in reversed(windows):
            first = first * window.stride - window.before
            last = last * window.stride - window.before + window.span - 1
        assert (field.start + output * field.jump, field.size) == (first, last - first + 1)


def test_merge_of_aligned_paths_is_the_largest_field() -> None:
    wide = field_of(Window(kernel=5, before=2, after=2))
    assert merge_fields([Field(), wide]) == wide


def test_merge_of_separate_paths_spans_both() -> None:
    assert merge_fields([Field(0, 2, 1), Field(5, 3, 1)]) == Field(0, 8, 1)
