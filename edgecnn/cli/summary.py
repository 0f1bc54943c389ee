"""The `edgecnn summary` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import print_json, print_table, say
from edgecnn.cli.options.shared import Json
from edgecnn.core.errors import InputError

if TYPE_CHECKING:
    from edgecnn.training.summary.formulas import Pair
    from edgecnn.training.summary.rows import LayerRow, ModelSummary

_SHORT = {
    "BatchNormalization": "BatchNorm",
    "GlobalAveragePooling2D": "GlobalAverage",
    "GlobalMaxPooling2D": "GlobalMax",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(summary)


def summary(
    model: Annotated[str, typer.Argument(help="Backbone that `edgecnn models` lists, or a run folder.")],
    *,
    alpha: Annotated[
        float | None, typer.Option(help="Width multiplier of a network that is available in several widths.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(help="Input height in pixels; the backbone's own if not given.", min=1)
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Input width in pixels; the backbone's own if not given.", min=1)
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="Number of classes of the head; the published head if not given.", min=2)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Print one row per layer, including batch normalization and activations.")
    ] = False,
    json: Json = False,
) -> None:
    """Calculate the size, parameters, MACs and receptive field of each layer; --json prints every layer.

    The receptive field includes padding, so it may be larger than the image.
    """
    summarized = _summarize(model, alpha=alpha, height=height, width=width, classes=classes)
    if json:
        from edgecnn.training.summary.rows import summary_record

        print_json(summary_record(summarized))
    else:
        _print_summary(summarized, every=every)
    if summarized.uncounted:
        say(f"the MACs of these layers are unknown and not counted: {', '.join(summarized.uncounted)}")


def _summarize(
    model: str, *, alpha: float | None, height: int | None, width: int | None, classes: int | None
) -> ModelSummary:
    from edgecnn.training.networks.catalog import backbone_spec, zoo

    path = Path(model)
    if path.suffix == ".tflite":
        raise InputError(f"expected a backbone or a run folder, got a model file; try edgecnn inspect {model}")
    is_path = path.exists() or len(path.parts) > 1
    if is_path and model not in {spec.name for spec in zoo()}:
        if any(option is not None for option in (alpha, height, width, classes)):
            raise InputError(
                "--alpha, --height, --width and --classes go with a backbone; remove them, a run has its own"
            )
        from edgecnn.training.summary.summary import summarize_run

        return summarize_run(path)
    spec = backbone_spec(model, alpha)  # Reject a misspelled name before TensorFlow is loaded.
    from edgecnn.training.summary.summary import summarize_backbone

    return summarize_backbone(spec, height=height, width=width, classes=classes)


def _print_summary(summarized: ModelSummary, *, every: bool) -> None:
    from edgecnn.training.summary.rows import grouped, shares

    layers = summarized.layers if every else grouped(summarized.layers)
    rows = [_row(layer, summarized.macs) for layer in layers]
    total = ("total", "", "", "", "", "", f"{summarized.parameters:,}", _millions(summarized.macs), "", "")
    print_table(
        f"{summarized.name}: {summarized.trainable:,} of {summarized.parameters:,} parameters are trainable",
        ("layer", "kind", "kernel", "stride", "padding", "output", "parameters", "MACs", "share", "receptive field"),
        [*rows, total],
        texts=("kind",),
    )
    print_table(
        "parameters and MACs by kind of layer",
        ("kind", "layers", "parameters", "share", "MACs", "share"),
        [
            (
                share.kind,
                str(share.layers),
                f"{share.parameters:,}",
                _percent(share.parameters, summarized.parameters),
                _millions(share.macs),
                _percent(share.macs, summarized.macs),
            )
            for share in shares(summarized)
        ],
    )


def _row(layer: LayerRow, all_macs: int) -> tuple[str, ...]:
    return (
        layer.name,
        " ".join(_SHORT.get(kind, kind) for kind in layer.kinds),
        _times(layer.kernel),
        "" if layer.stride is None else _join_different("x", *map(str, layer.stride)),
        "" if layer.padding is None else _join_different(", ", *map(_padding, layer.padding)),
        "x".join(map(str, layer.output)),
        f"{layer.parameters:,}" if layer.parameters else "",
        _millions(layer.macs) if layer.macs else "",
        _percent(layer.macs, all_macs) if layer.macs else "",
        _times(layer.receptive_field),
    )


def _times(pair: Pair | None) -> str:
    return "" if pair is None else f"{pair[0]}x{pair[1]}"


def _padding(sides: Pair) -> str:
    """Return the padding before and after, as one number if both are equal."""
    return _join_different("+", *map(str, sides))


def _join_different(separator: str, first: str, second: str) -> str:
    return first if first == second else f"{first}{separator}{second}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} M"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
