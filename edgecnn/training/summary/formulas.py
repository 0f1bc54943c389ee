"""Formulas for a layer's output size, parameters, multiplications and receptive field, from its geometry alone.

Sizes and counts follow the formulas of any course on convolutional networks; padding is TensorFlow's. The receptive
field follows Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill, 2019.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from edgecnn.core.errors import InputError

Pair = tuple[int, int]
"""Rows and columns."""
Padding = Literal["same", "valid"]


class Window(NamedTuple):
    """A window that slides along one axis."""

    kernel: int
    """Number of taps."""
    stride: int = 1
    before: int = 0
    """Number of zeros padded before the axis."""
    after: int = 0
    """Number of zeros padded after the axis."""
    dilation: int = 1
    """Distance between two taps."""

    @property
    def span(self) -> int:
        """Length from the first to the last tap, both included."""
        return self.dilation * (self.kernel - 1) + 1


def padded_window(length: int, kernel: int, stride: int = 1, padding: Padding = "valid", dilation: int = 1) -> Window:
    """Return the window over an axis with the padding of TensorFlow.

    "valid" pads nothing. "same" pads the minimum for an output of length `ceil(length / stride)`; if that is an odd
    number of zeros, the larger half comes after the axis. For example, a stride of 2 over an even length is padded on
    one side only.

    Args:
        length: Length of the axis.
        kernel: Number of taps.
        stride: Step of the window.
        padding: "valid" or "same".
        dilation: Distance between two taps.

    Returns:
        The window with its padding.
    """
    bare = Window(kernel, stride, dilation=dilation)
    if padding == "valid":
        return bare
    zeros = max((-(-length // stride) - 1) * stride + bare.span - length, 0)
    return bare._replace(before=zeros // 2, after=zeros - zeros // 2)


def output_length(length: int, window: Window) -> int:
    """Compute `floor((W - K + 2 P) / S) + 1`, where 2 P is the padding on both sides together.

    Args:
        length: Length W of the axis.
        window: Window over the axis.

    Returns:
        Number of positions of the window.

    Raises:
        InputError: The window does not fit even once.
    """
    room = length - window.span + window.before + window.after
    if room < 0:
        raise InputError(f"expected at least {length - room} pixels for a window of {window.span}, got {length}")
    return room // window.stride + 1


# ---- counts


def convolution_parameters(kernel: Pair, inputs: int, outputs: int, *, groups: int = 1, bias: bool = True) -> int:
    """Compute `(K K Cin + 1) Cout`: each filter has a kernel over its group's share of the inputs, and a bias.

    Args:
        kernel: Rows and columns of the kernel.
        inputs: Number of input channels Cin.
        outputs: Number of filters Cout.
        groups: Number of groups that the channels are divided into.
        bias: Count the biases.

    Returns:
        Number of parameters.
    """
    return (kernel[0] * kernel[1] * (inputs // groups) + bias) * outputs


def depthwise_parameters(kernel: Pair, channels: int, *, multiplier: int = 1, bias: bool = True) -> int:
    """Compute `(K K + 1) C M`: each channel has kernels of its own.

    Args:
        kernel: Rows and columns of the kernel.
        channels: Number of channels C.
        multiplier: Number of kernels per channel M.
        bias: Count the biases.

    Returns:
        Number of parameters.
    """
    return (kernel[0] * kernel[1] + bias) * channels * multiplier


def dense_parameters(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Compute `(N + 1) M`: a weight from every input to every output, and a bias per output.

    Args:
        inputs: Number of inputs N.
        outputs: Number of outputs M.
        bias: Count the biases.

    Returns:
        Number of parameters.
    """
    return (inputs + bias) * outputs


class BatchNormParameters(NamedTuple):
    """Numbers of parameters of a batch normalization."""

    trained: int
    """Scale and shift, which training changes."""
    statistics: int
    """Running mean and variance, which the optimizer does not change."""


def batch_norm_parameters(channels: int, *, scale: bool = True, center: bool = True) -> BatchNormParameters:
    """Count the parameters of a batch normalization, up to four per channel.

    Args:
        channels: Number of channels.
        scale: Count the scale.
        center: Count the shift.

    Returns:
        Numbers of trained parameters and of statistics.
    """
    return BatchNormParameters((scale + center) * channels, 2 * channels)


def macs(weights: int, positions: int = 1) -> int:
    """Count the multiply-accumulates for one image: each weight is used once at each position of the output.

    Args:
        weights: Number of weights without biases.
        positions: Number of positions of the output.

    Returns:
        Number of multiply-accumulates.
    """
    return weights * positions


# ---- receptive field


class Field(NamedTuple):
    """Receptive field of the outputs of a layer in the network's input, along one axis.

    Output i sees `size` pixels, from `start + i * jump` onwards; pixels outside the image are padding.
    """

    start: int = 0
    size: int = 1
    jump: int = 1


def field_through(field: Field, window: Window) -> Field:
    """Return the receptive field after a window: of size `size + (span - 1) * jump`, with the jump `jump * stride`.

    Args:
        field: Receptive field of the window's inputs.
        window: Window of the layer.

    Returns:
        Receptive field of the window's outputs.
    """
    return Field(
        field.start - window.before * field.jump,
        field.size + (window.span - 1) * field.jump,
        field.jump * window.stride,
    )


def merge_fields(fields: Iterable[Field]) -> Field:
    """Return the receptive field where paths join: everything that any path sees.

    If the paths are aligned, as in most networks, this is the largest of their fields.

    Args:
        fields: Receptive fields of the paths.

    Returns:
        Receptive field of their combination.
    """
    paths = tuple(fields)
    start = min(path.start for path in paths)
    end = max(path.start + path.size for path in paths)
    return Field(start, end - start, max(path.jump for path in paths))
