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
    joined,
    macs,
    output_length,
    seen_through,
    window,
)

lengths = st.integers(1, 300)
kernels = st.integers(1, 11)
strides = st.integers(1, 5)
dilations = st.integers(1, 4)


def stacked(*windows: Window) -> Field:
    field = Field()
    for each in windows:
        field = seen_through(field, each)
    return field


# ---- the examples of the course


def test_a_window_of_3_over_5_pixels_with_one_of_padding_gives_5() -> None:
    assert output_length(5, Window(kernel=3, before=1, after=1)) == 5
    assert window(5, 3, padding="same") == Window(kernel=3, before=1, after=1)


def test_a_window_of_3_over_5_pixels_in_steps_of_two_gives_2() -> None:
    assert output_length(5, window(5, 3, stride=2)) == 2


def test_five_halvings_take_224_pixels_to_7() -> None:
    length = 224
    cascade = []
    for _ in range(5):
        length = output_length(length, window(length, 2, stride=2))
        cascade.append(length)
    assert cascade == [112, 56, 28, 14, 7]


def test_32_filters_of_3x3_on_rgb_have_896_parameters() -> None:
    assert convolution_parameters((3, 3), 3, 32) == 896
    assert convolution_parameters((3, 3), 3, 1, bias=False) == 27


def test_a_hidden_layer_of_1000_on_224x224_rgb_has_150_million_parameters() -> None:
    assert dense_parameters(224 * 224 * 3, 1000) == 150_529_000


def test_two_windows_of_3_see_what_one_of_5_sees_and_three_what_one_of_7_sees() -> None:
    three = Window(kernel=3, before=1, after=1)
    assert stacked(three, three) == stacked(Window(kernel=5, before=2, after=2))
    assert stacked(three, three, three) == stacked(Window(kernel=7, before=3, after=3))


def test_two_layers_of_3x3_need_18_weights_a_channel_pair_where_one_of_5x5_needs_25() -> None:
    def weights(kernel: int) -> int:
        return convolution_parameters((kernel, kernel), 1, 1, bias=False)

    assert (2 * weights(3), weights(5)) == (18, 25)
    assert 1 - 3 * weights(3) / weights(7) == pytest.approx(0.45, abs=0.005)


# ---- sizes


@given(lengths, kernels, strides, dilations)
def test_same_padding_gives_the_length_over_the_stride_rounded_up(
    length: int, kernel: int, stride: int, dilation: int
) -> None:
    over = window(length, kernel, stride, "same", dilation)
    assert output_length(length, over) == -(-length // stride)
    assert over.after - over.before in (0, 1)


def test_a_stride_of_two_over_an_even_length_is_padded_behind_alone() -> None:
    assert window(224, 3, 2, "same") == Window(kernel=3, stride=2, before=0, after=1)
    assert window(225, 3, 2, "same") == Window(kernel=3, stride=2, before=1, after=1)


@given(lengths, kernels, strides, st.integers(0, 5), st.integers(0, 5), dilations)
def test_the_formula_counts_the_places_where_the_window_fits(
    length: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    over = Window(kernel, stride, before, after, dilation)
    places = range(-before, length + after - over.span + 1, stride)
    if places:
        assert output_length(length, over) == len(places)
    else:
        with pytest.raises(InputError, match=f"a window of {over.span}, got {length}"):
            output_length(length, over)


# ---- counts


def test_depthwise_and_pointwise_together_are_an_eighth_of_a_convolution() -> None:
    apart = depthwise_parameters((3, 3), 64, bias=False) + convolution_parameters((1, 1), 64, 64, bias=False)
    assert apart / convolution_parameters((3, 3), 64, 64, bias=False) == pytest.approx(1 / 64 + 1 / 9)


def test_a_convolution_in_as_many_groups_as_channels_is_a_depthwise_one() -> None:
    assert convolution_parameters((3, 3), 8, 16, groups=8) == depthwise_parameters((3, 3), 8, multiplier=2)


def test_batch_normalization_has_two_parameters_and_two_statistics_a_channel() -> None:
    assert batch_norm_parameters(32) == (64, 64)
    assert batch_norm_parameters(32, scale=False) == (32, 64)


def test_each_weight_multiplies_once_at_each_place_of_the_output() -> None:
    assert macs(convolution_parameters((3, 3), 3, 32, bias=False), 112 * 112) == 10_838_016


# ---- the receptive field


@given(st.lists(st.builds(Window, kernels, strides, st.integers(0, 5), st.integers(0, 5), dilations), max_size=5))
def test_the_recurrence_finds_the_pixels_that_the_windows_reach(windows: list[Window]) -> None:
    field = stacked(*windows)
    for output in (0, 3):
        first = last = output
        for each in reversed(windows):
            first = first * each.stride - each.before
            last = last * each.stride - each.before + each.span - 1
        assert (field.start + output * field.jump, field.size) == (first, last - first + 1)


def test_where_aligned_paths_meet_the_largest_field_counts() -> None:
    wide = stacked(Window(kernel=5, before=2, after=2))
    assert joined([Field(), wide]) == wide


def test_where_paths_look_elsewhere_the_field_spans_both() -> None:
    assert joined([Field(0, 2, 1), Field(5, 3, 1)]) == Field(0, 8, 1)
