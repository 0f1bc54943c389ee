"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.options.from_settings import Override
from edgecnn.core.settings.augment import parse_augment

Model = Annotated[Path, typer.Argument(help="Model file (.tflite).")]
TopK = Annotated[int, typer.Option(help="Number of classes to print, best first.", min=1)]
Baseline = Annotated[Path | None, typer.Option(help="Model file to compare with, usually the float32 one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]
Threads = Annotated[int, typer.Option(help="Number of interpreter threads.", min=1)]
Labels = Annotated[
    Path | None, typer.Option(help="Text file with one label per line, for a model file that carries no labels.")
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        help="Preprocessing, for a model file that carries none: RESIZE[:CROP][,mean=M][,std=S][,interpolation=I], "
        "such as center_crop:0.875,mean=127.5,std=127.5."
    ),
]

AUGMENT = Override(
    parse=parse_augment,
    metavar="KEY=VALUE,...",
    help="Random changes to training photos, such as flip=false,crop=0.3; none switches all of them off.",
)
SEED = Override(min=0)


def delegate_option(panel: str | None = None) -> Any:
    """Return the option `--delegate`, shown in a panel of the help or among the other options."""
    return typer.Option(
        metavar="LIBRARY[:KEY=VALUE,...]",
        help="Run the model with this TFLite delegate, such as libedgetpu.so.1; auto tries the known ones.",
        rich_help_panel=panel,
    )


Delegate = Annotated[str | None, delegate_option()]
