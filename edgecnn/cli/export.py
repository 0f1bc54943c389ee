"""The `edgecnn export` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_json_lines, print_table, say
from edgecnn.cli.options.from_settings import Override, options_from
from edgecnn.cli.options.shared import SEED, Json
from edgecnn.core.errors import InputError
from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.core.settings.min_recall import parse_min_recall

if TYPE_CHECKING:
    from edgecnn.core.model_file.card import ClassThreshold

_CROP_FRACTION = TrainSettings().crop_fraction
_PRECISIONS, _QUANTIZATION, _PRETRAINED = "Precisions", "Quantization and thresholds", "Without a run"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)


@options_from(
    ExportSettings,
    exclude=("precisions",),
    overrides={
        "calibration_images": Override(min=1),
        "min_recall": Override(parse=parse_min_recall, metavar="CLASS=R"),
        "seed": SEED,
    },
    panels={_QUANTIZATION: ("calibration_images", "ptq", "min_recall", "seed")},
)
def export(
    run: Annotated[Path | None, typer.Argument(help="Run folder of edgecnn train.")] = None,
    *,
    float32: Annotated[
        bool, typer.Option("--float32", help="The reference, always written for a run.", rich_help_panel=_PRECISIONS)
    ] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="Half the size, float arithmetic.", rich_help_panel=_PRECISIONS)
    ] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="int8 weights, float arithmetic.", rich_help_panel=_PRECISIONS)
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Integer arithmetic throughout, camera bytes as the input.", rich_help_panel=_PRECISIONS
        ),
    ] = False,
    int16x8: Annotated[
        bool, typer.Option("--int16x8", help="int8 weights, int16 activations.", rich_help_panel=_PRECISIONS)
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All precisions.", rich_help_panel=_PRECISIONS)] = False,
    settings: ExportSettings,
    pretrained: Annotated[
        str | None,
        typer.Option(
            help="Export the 1000-class ImageNet classifier of this backbone, instead of a run.",
            rich_help_panel=_PRETRAINED,
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Width multiplier of a --pretrained MobileNet.", rich_help_panel=_PRETRAINED)
    ] = None,
    weights: Annotated[
        str, typer.Option(help="Weights of --pretrained: imagenet or a file.", rich_help_panel=_PRETRAINED)
    ] = "imagenet",
    crop_fraction: Annotated[
        float,
        typer.Option(
            help="Share of the center that --pretrained classifies; the published evaluations keep 0.875.",
            max=1,
            rich_help_panel=_PRETRAINED,
        ),
    ] = _CROP_FRACTION,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos that calibrate the quantization ranges of --pretrained.", rich_help_panel=_PRETRAINED
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Model file to write with --pretrained.", rich_help_panel=_PRETRAINED)
    ] = None,
    json: Json = False,
) -> None:
    """Write model files that carry labels, preprocessing and provenance, each checked before it gets its name.

    The float32 file is always written, because the others are compared with it. Without a choice, int8 is written too.
    """
    flags = {"float32": float32, "float16": float16, "dynamic": dynamic, "int8": int8, "int16x8": int16x8}
    precisions = tuple(precision for precision in PRECISIONS if every or flags[precision])
    if run is not None and pretrained is None:
        if out or alpha or calibration:
            raise InputError("--out, --alpha and --calibration go with --pretrained; remove them, a run has its own")
        files = _export_run(run, settings.model_copy(update={"precisions": precisions}) if precisions else settings)
    elif pretrained is not None and run is None:
        files = _export_pretrained(
            pretrained,
            precisions,
            settings,
            alpha=alpha,
            weights=weights,
            crop_fraction=crop_fraction,
            calibration=calibration,
            out=out,
        )
    else:
        raise InputError("expected either a run folder or --pretrained MODEL")
    _print_files(files, json=json)


def _export_run(run: Path, settings: ExportSettings) -> Sequence[Path]:
    from edgecnn.training.export import export_run

    with ProgressBars() as progress:
        return export_run(run, settings, progress=progress)


def _export_pretrained(
    name: str,
    precisions: tuple[Precision, ...],
    settings: ExportSettings,
    *,
    alpha: float | None,
    weights: str,
    crop_fraction: float,
    calibration: Path | None,
    out: Path | None,
) -> Sequence[Path]:
    if settings.min_recall:
        raise InputError("--min-recall needs the validation photos of a run; remove it, or export a run")
    if out is None:
        raise InputError("--pretrained needs --out FILE.tflite")
    if len(precisions) != 1:
        raise InputError(f"--pretrained writes one file: expected one precision, got {len(precisions)}")
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(name, alpha)  # Reject a misspelled name before TensorFlow is loaded.
    from edgecnn.training.export import export_pretrained

    with ProgressBars() as progress:
        file = export_pretrained(
            name,
            precisions[0],
            out,
            alpha=alpha,
            weights=weights,
            crop_fraction=crop_fraction,
            calibration=calibration,
            calibration_images=settings.calibration_images,
            seed=settings.seed,
            progress=progress,
        )
    return [file]


def _print_files(files: Sequence[Path], *, json: bool) -> None:
    from edgecnn.core.model_file.model_file import read_model_file

    cards = [(path, read_model_file(path).card) for path in files]
    if json:
        print_json_lines({"path": str(path), "card": card and card.model_dump(mode="json")} for path, card in cards)
        return
    rows = [
        (
            str(path),
            f"{path.stat().st_size / 1e6:.2f} MB",
            card.quantization if card else "",
            f"{card.metrics['validation_accuracy']:.4f}" if card and card.metrics else "",
        )
        for path, card in cards
    ]
    print_table("model files", ("file", "size", "quantization", "validation top-1"), rows, texts=("quantization",))
    _print_thresholds([(path, card.threshold) for path, card in cards if card and card.threshold])
    say(f"inspect one with: edgecnn inspect {files[-1]}")


def _print_thresholds(picked: list[tuple[Path, ClassThreshold]]) -> None:
    """Print what a higher recall of the class costs in precision, for each file."""
    if not picked:
        return
    columns = ("file", "score", "recall before", "recall", "95 % on new photos", "precision before", "precision")
    rows = [
        (
            path.name,
            f"{threshold.threshold:.4f}",
            f"{threshold.recall_before:.4f}",
            f"{threshold.recall:.4f}",
            "{:.4f} to {:.4f}".format(*threshold.recall_ci95),
            f"{threshold.precision_before:.4f}",
            f"{threshold.precision:.4f}",
        )
        for path, threshold in picked
    ]
    first = picked[0][1]
    title = f"{first.label}: recall of at least {first.min_recall:g}, picked on its {first.photos} validation photos"
    print_table(title, columns, rows)
    for path, threshold in picked:
        if threshold.recall_before >= threshold.min_recall and threshold.precision_before > threshold.precision:
            say(f"{path.name} reaches the recall of {threshold.label} without --min-recall, with a higher precision")
