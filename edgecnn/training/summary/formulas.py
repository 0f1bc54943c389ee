"""What a layer's output size, parameters, multiplications and receptive field come to, from its geometry alone.

Sizes and counts are the formulas of any course on convolutional networks; padding is TensorFlow's; the receptive field
follows Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill, 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from edgecnn.core.errors import InputError

Pair = tuple[int, int]
"""Rows and columns."""
Padding = Literal["same", "valid"]


class Window(NamedTuple):
    """Slides along an axis: `kernel` taps, `dilation` apart, in steps of `stride`, over zeros `before` and `after`."""

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """How far it reaches from its first to its last tap."""
        return self.dilation * (self.kernel - 1) + 1


def window(length: int, kernel: int, stride: int = 1, padding: Padding = "valid", dilation: int = 1) -> Window:
    """A window over an axis of `length`, padded as TensorFlow does.

    "valid" pads nothing. "same" pads as little as makes the output `ceil(length / stride)` long; where that is an odd
    number, the greater half comes after. A stride of 2 over an even length is thus padded on one side alone.
    """
    bare = Window(kernel, stride, dilation=dilation)
    if padding == "valid":
        return bare
    zeros = max((-(-length // stride) - 1) * stride + bare.span - length, 0)
    return bare._replace(before=zeros // 2, after=zeros - zeros // 2)


def output_length(length: int, over: Window) -> int:
    """`floor((W - K + 2 P) / S) + 1`, where 2 P is what is padded on both sides together.

    Raises `InputError` where the window does not fit in once.
    """
    room = length - over.span + over.before + over.after
    if room < 0:
        raise InputError(f"expected at least {length - room} pixels for a window of {over.span}, got {length}")
    return room // over.stride + 1


# ---- counts


def convolution_parameters(kernel: Pair, inputs: int, outputs: int, *, groups: int = 1, bias: bool = True) -> int:
    """`(K K Cin + 1) Cout`: each of `outputs` filters has a kernel over its group's share of `inputs`, and a bias."""
    return (kernel[0] * kernel[1] * (inputs // groups) + bias) * outputs


def depthwise_parameters(kernel: Pair, channels: int, *, multiplier: int = 1, bias: bool = True) -> int:
    """`(K K + 1) C M`: each channel has `multiplier` kernels of its own."""
    return (kernel[0] * kernel[1] + bias) * channels * multiplier


def dense_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """`(N + 1) M`: a weight from every input to every output, and a bias."""
    return (inputs + bias) * outputs


class BatchNormParameters(NamedTuple):
    """The parameters of a batch normalization, by whether training moves them."""

    trained: int
    """Scale and shift."""
    statistics: int
    """Running mean and variance."""


def batch_norm_parameters(channels: int, *, scale: bool = True, center: bool = True) -> BatchNormParameters:
    """Up to four numbers a channel."""
    return BatchNormParameters((scale + center) * channels, 2 * channels)


def macs(weights: int, positions: int = 1) -> int:
    """Multiply-accumulates of one image: each weight, biases apart, is used once at each position of the output."""
    return weights * positions


# ---- the receptive field


class Field(NamedTuple):
    """What the outputs of a layer see of the network's input, along one axis.

    Output i sees the `size` pixels from `start + i * jump` on; those outside of the image are padding.
    """

    start: int = 0
    size: int = 1
    jump: int = 1


def seen_through(field: Field, over: Window) -> Field:
    """The field behind a window: `size + (span - 1) * jump`, and `jump * stride`."""
    return Field(
        field.start - over.before * field.jump, field.size + (over.span - 1) * field.jump, field.jump * over.stride
    )


def joined(fields: Iterable[Field]) -> Field:
    """The field where paths meet: what any of them sees.

    Where the paths are aligned, which they are in most networks, that is the largest of their fields.
    """
    paths = tuple(fields)
    start = min(path.start for path in paths)
    end = max(path.start + path.size for path in paths)
    return Field(start, end - start, max(path.jump for path in paths))
