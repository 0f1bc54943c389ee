"""A network as rows of a table: its layers, its layers grouped as people speak of them, and totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

from edgecnn.training.summary.formulas import Field, Pair

Shape = tuple[int, ...]
Zeros = tuple[Pair, Pair]
"""Padding above and below, and left and right."""

_SPLIT_BY_KERNEL = ("Conv2D", "DepthwiseConv2D")
"""Kinds of layers whose shares are listed separately for each kernel size."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer or several consecutive layers; None stands for a value that does not apply or is unknown."""

    name: str
    """Name of the layer; of several layers, the name of the first."""
    kinds: tuple[str, ...]
    """Class of the layer and its built-in activation; of several layers, those of each in turn."""
    inputs: tuple[str, ...]
    """Names of the rows whose outputs the layer takes."""
    output: Shape
    """Rows, columns and channels, or the length of a vector."""
    parameters: int
    """Number of parameters, including the statistics of batch normalization."""
    trainable: int
    """Number of trainable parameters."""
    macs: int | None
    """Number of multiply-accumulates for one image."""
    kernel: Pair | None = None
    stride: Pair | None = None
    padding: Zeros | None = None
    fields: tuple[Field, Field] | None = None
    """Receptive field of its outputs along the image's rows and along its columns."""

    @property
    def receptive_field(self) -> Pair | None:
        """Rows and columns of the input that one output sees; with padding they may exceed the size of the image."""
        return (self.fields[0].size, self.fields[1].size) if self.fields else None


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A network with its layers from input to output."""

    name: str
    layers: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """Number of parameters, including the statistics of batch normalization."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Number of trainable parameters."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def macs(self) -> int:
        """Number of multiply-accumulates for one image, without the layers for which it is unknown."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of layers whose number of multiply-accumulates is unknown."""
        return tuple(layer.name for layer in self.layers if layer.macs is None)


class Share(NamedTuple):
    """Totals of all layers of one kind."""

    kind: str
    """Class of the layers, with the size of the kernel for convolutions."""
    layers: int
    """Number of layers."""
    parameters: int
    macs: int


def shares(summary: ModelSummary) -> tuple[Share, ...]:
    """Sum up parameters and multiplications by kind of layer and size of kernel.

    Args:
        summary: Network.

    Returns:
        Totals, most multiplications first; kinds without parameters and multiplications are omitted.
    """
    totals: dict[str, Share] = {}
    for layer in summary.layers:
        if not layer.parameters and not layer.macs:
            continue
        kind = layer.kinds[0]
        if layer.kernel and kind in _SPLIT_BY_KERNEL:
            kind = f"{kind} {layer.kernel[0]}x{layer.kernel[1]}"
        so_far = totals.get(kind, Share(kind, 0, 0, 0))
        totals[kind] = Share(
            kind,
            so_far.layers + 1,
            so_far.parameters + layer.parameters,
            so_far.macs + (layer.macs or 0),
        )
    return tuple(sorted(totals.values(), key=lambda share: (-share.macs, -share.parameters)))


def grouped(layers: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """Combine layers into fewer rows.

    Zero padding joins the layer that it pads for. Layers that only change values join the layer before them: batch
    normalization, activation, dropout, and a reshape that moves nothing.

    Args:
        layers: Layers from input to output.

    Returns:
        Rows from input to output, with the same totals.
    """
    return _with_followers(_with_padding(layers))


def summary_record(summary: ModelSummary) -> dict[str, Any]:
    """Convert a summary to the record that `--json` prints.

    Args:
        summary: Network.

    Returns:
        Totals, shares by kind, and every layer; all values can be written as JSON.
    """
    return {
        "name": summary.name,
        "input": list(summary.layers[0].output),
        "output": list(summary.layers[-1].output),
        "parameters": summary.parameters,
        "trainable": summary.trainable,
        "macs": summary.macs,
        "by_kind": [share._asdict() for share in shares(summary)],
        "layers": [_layer_record(layer) for layer in summary.layers],
    }


def _with_padding(layers: Sequence[LayerRow]) -> list[LayerRow]:
    rows: list[LayerRow] = []
    zeros: dict[str, LayerRow] = {}
    for layer in layers:
        if _pads_for_one_window(layer, layers):
            zeros[layer.name] = layer
        elif layer.inputs and layer.inputs[0] in zeros:
            before = zeros[layer.inputs[0]]
            rows.append(replace(layer, inputs=before.inputs, padding=_added(before.padding, layer.padding)))
        else:
            rows.append(layer)
    return rows


def _pads_for_one_window(layer: LayerRow, layers: Iterable[LayerRow]) -> bool:
    if not layer.padding or layer.kernel:
        return False
    consumers = [other for other in layers if layer.name in other.inputs]
    return len(consumers) == 1 and consumers[0].kernel is not None


def _added(first: Zeros | None, second: Zeros | None) -> Zeros | None:
    if first is None or second is None:
        return first or second
    (above, below), (left, right) = first
    (more_above, more_below), (more_left, more_right) = second
    return (above + more_above, below + more_below), (left + more_left, right + more_right)


def _with_followers(layers: Iterable[LayerRow]) -> tuple[LayerRow, ...]:
    groups: dict[str, LayerRow] = {}
    group_of: dict[str, str] = {}
    for layer in layers:
        inputs = tuple(group_of[name] for name in layer.inputs)
        before = groups[inputs[0]] if len(inputs) == 1 else None
        if before and _only_changes_values(layer, before):
            group_of[layer.name] = before.name
            groups[before.name] = replace(
                before,
                kinds=(*before.kinds, *layer.kinds),
                output=layer.output,
                parameters=before.parameters + layer.parameters,
                trainable=before.trainable + layer.trainable,
            )
        else:
            group_of[layer.name] = layer.name
            groups[layer.name] = replace(layer, inputs=inputs)
    return tuple(groups.values())


def _only_changes_values(layer: LayerRow, before: LayerRow) -> bool:
    """Return True if each output of a layer with one input depends only on the input at the same position."""
    slides_or_multiplies = layer.kernel or layer.padding or layer.macs != 0
    return not slides_or_multiplies and prod(layer.output) == prod(before.output) and layer.fields == before.fields


def _layer_record(layer: LayerRow) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kinds": list(layer.kinds),
        "inputs": list(layer.inputs),
        "kernel": layer.kernel,
        "stride": layer.stride,
        "padding": layer.padding,
        "output": list(layer.output),
        "parameters": layer.parameters,
        "trainable": layer.trainable,
        "macs": layer.macs,
        "receptive_field": layer.receptive_field,
    }
