"""The `edgecnn export` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_json_lines, print_table, say
from edgecnn.cli.options import Json, Seed, settings_from
from edgecnn.core.errors import InputError
from edgecnn.core.precision import PRECISIONS, Precision
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.core.settings.min_recall import parse_min_recall

if TYPE_CHECKING:
    from edgecnn.core.model_file.card import ClassThreshold


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(export)


def export(
    run: Annotated[Path | None, typer.Argument(help="A run folder of edgecnn train.")] = None,
    float32: Annotated[bool, typer.Option("--float32")] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Half the size, float arithmetic.")] = False,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="int8 weights, float arithmetic.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Integer arithmetic throughout, camera bytes in.")] = False,
    int16x8: Annotated[bool, typer.Option("--int16x8", help="int8 weights, int16 activations.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every precision.")] = False,
    ptq: Annotated[
        bool, typer.Option("--ptq", help="Quantize the float weights though the run has quantization-aware ones.")
    ] = False,
    min_recall: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS=R",
            help="Decide on CLASS from the score on that finds R of its validation photos, such as pneumonia=0.98.",
        ),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="Export the 1000-class ImageNet classifier of this backbone; no RUN then.")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Width of a --pretrained MobileNet.")] = None,
    weights: Annotated[str, typer.Option(help="imagenet or a file, for --pretrained.")] = "imagenet",
    crop_fraction: Annotated[
        float,
        typer.Option(
            help="Share of the center that --pretrained looks at; the published evaluations keep 0.875.", max=1
        ),
    ] = TrainSettings.default("crop_fraction"),
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of photos that set int8's ranges, for --pretrained.")
    ] = None,
    calibration_images: Annotated[
        int, typer.Option(help="How many photos set the ranges.", min=1)
    ] = ExportSettings.default("calibration_images"),
    out: Annotated[Path | None, typer.Option(help="The file to write, for --pretrained.")] = None,
    seed: Seed = ExportSettings.default("seed"),
    json: Json = False,
) -> None:
    """Write model files that carry labels, preprocessing and provenance; each is checked before it gets its name.

    float32 is always written, as the others are compared with it; without a choice, int8 too.
    """
    wanted = {"float32": float32, "float16": float16, "dynamic": dynamic, "int8": int8, "int16x8": int16x8}
    chosen = tuple(precision for precision in PRECISIONS if every or wanted[precision])
    if (run is None) == (pretrained is None):
        raise InputError("expected a run folder, or --pretrained MODEL, one of the two")
    request = parse_min_recall(min_recall) if min_recall is not None else None
    if pretrained is not None:
        if request:
            raise InputError("--min-recall needs a run's validation photos; leave it out with --pretrained")
        files = [
            _export_pretrained(
                pretrained, chosen, out, alpha, weights, crop_fraction, calibration, calibration_images, seed
            )
        ]
    else:
        assert run is not None
        if out or alpha or calibration:
            raise InputError("--out, --alpha and --calibration belong to --pretrained; a run knows its own")
        precisions = chosen or ExportSettings.default("precisions")
        settings = settings_from(
            ExportSettings,
            precisions=precisions,
            calibration_images=calibration_images,
            ptq=ptq,
            min_recall=request,
            seed=seed,
        )
        from edgecnn.training.export import export_run

        with ProgressBars() as progress:
            files = list(export_run(run, settings, progress=progress))
    _print_files(files, json)


def _export_pretrained(
    name: str,
    chosen: tuple[Precision, ...],
    out: Path | None,
    alpha: float | None,
    weights: str,
    crop_fraction: float,
    calibration: Path | None,
    calibration_images: int,
    seed: int,
) -> Path:
    if out is None:
        raise InputError("--pretrained needs --out FILE.tflite")
    if len(chosen) != 1:
        raise InputError(f"--pretrained writes one file: expected one precision, got {len(chosen)}")
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(name, alpha)
    from edgecnn.training.export import export_pretrained

    with ProgressBars() as progress:
        return export_pretrained(
            name,
            chosen[0],
            out,
            alpha=alpha,
            weights=weights,
            crop_fraction=crop_fraction,
            calibration=calibration,
            calibration_images=calibration_images,
            seed=seed,
            progress=progress,
        )


def _print_files(files: list[Path], json: bool) -> None:
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
    say(f"look into one with edgecnn inspect {files[-1]}")


def _print_thresholds(picked: list[tuple[Path, ClassThreshold]]) -> None:
    """What finding more of a class costs, file by file."""
    if not picked:
        return
    columns = ("file", "score", "recall before", "recall", "95 % on new photos", "precision before", "precision")
    rows = [
        (
            path.name,
            f"{each.threshold:.4f}",
            f"{each.recall_before:.4f}",
            f"{each.recall:.4f}",
            "{:.4f} to {:.4f}".format(*each.recall_ci95),
            f"{each.precision_before:.4f}",
            f"{each.precision:.4f}",
        )
        for path, each in picked
    ]
    one = picked[0][1]
    title = f"{one.label}: recall of at least {one.min_recall:g}, picked on {one.photos} validation photos of it"
    print_table(title, columns, rows)
    for path, each in picked:
        if each.recall_before >= each.min_recall and each.precision_before > each.precision:
            say(f"{path.name} finds enough of {each.label} already: without --min-recall it is more precise")
