"""A network as rows of a table: its layers, the same put together as people speak of them, and totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

from edgecnn.training.summary.formulas import Field, Pair

Shape = tuple[int, ...]
Zeros = tuple[Pair, Pair]
"""What is padded above and below, and left and right."""

_TOLD_BY_KERNEL = ("Conv2D", "DepthwiseConv2D")


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer, or several that follow one another. What is None does not apply, or is not known of its kind."""

    name: str
    kinds: tuple[str, ...]
    """Its class, and the activation within it; of several layers, those of each in turn."""
    inputs: tuple[str, ...]
    output: Shape
    """Rows, columns and channels, or the length of a vector."""
    parameters: int
    trainable: int
    macs: int | None
    kernel: Pair | None = None
    stride: Pair | None = None
    padding: Zeros | None = None
    fields: tuple[Field, Field] | None = None
    """What its outputs see of the image's rows and columns."""

    @property
    def receptive_field(self) -> Pair | None:
        """Pixels of the input that one output sees, padding included: it may be more than the image has."""
        return (self.fields[0].size, self.fields[1].size) if self.fields else None


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A network, its layers from input to output."""

    name: str
    layers: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """All of them, the statistics of batch normalization included."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Those that training moves."""
        return sum(layer.trainable for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image, of the layers that they are known of."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Layers of a kind whose multiplications are not known."""
        return tuple(layer.name for layer in self.layers if layer.macs is None)


class Share(NamedTuple):
    """What layers of one kind come to."""

    kind: str
    layers: int
    parameters: int
    macs: int


def shares(summary: ModelSummary) -> tuple[Share, ...]:
    """Where parameters and multiplications are, by kind of layer and size of kernel, most multiplications first."""
    found: dict[str, Share] = {}
    for layer in summary.layers:
        if not layer.parameters and not layer.macs:
            continue
        kind = layer.kinds[0]
        if layer.kernel and kind in _TOLD_BY_KERNEL:
            kind = f"{kind} {layer.kernel[0]}x{layer.kernel[1]}"
        so_far = found.get(kind, Share(kind, 0, 0, 0))
        found[kind] = Share(
            kind,
            so_far.layers + 1,
            so_far.parameters + layer.parameters,
            so_far.macs + (layer.macs or 0),
        )
    return tuple(sorted(found.values(), key=lambda share: (-share.macs, -share.parameters)))


def grouped(layers: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """Fewer rows: zero padding joins the window that it is made for, and what only changes values the layer before it.

    The latter are batch normalization, activation, dropout, and a reshape that moves nothing.
    """
    return _with_followers(_with_padding(layers))


def summary_record(summary: ModelSummary) -> dict[str, Any]:
    """The summary as JSON has it: totals, shares by kind, and every layer."""
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
        if before and _changes_values_alone(layer, before):
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


def _changes_values_alone(layer: LayerRow, before: LayerRow) -> bool:
    """Whether a layer with one input gives as many numbers as it takes, and looks at none but its own."""
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
