"""Options that several commands share, and the way from options to settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
from pydantic import ValidationError

from edgecnn.core.errors import InputError
from edgecnn.core.settings.augment import AugmentSettings, parse_augment
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.command_settings import TrainSettings

AnySettings = TypeVar("AnySettings", bound=Settings)

Model = Annotated[Path, typer.Argument(help="A .tflite file.")]
TopK = Annotated[int, typer.Option(help="How many classes to tell.", min=1)]
Baseline = Annotated[Path | None, typer.Option(help="A model file to compare with, the float32 one as a rule.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
Threads = Annotated[int, typer.Option(help="Threads of the interpreter.", min=1)]
Delegate = Annotated[
    str | None,
    typer.Option(
        metavar="LIBRARY[:KEY=VALUE,...]",
        help="Run the model with this TFLite delegate, such as libedgetpu.so.1; auto tries those it knows.",
    ),
]
Labels = Annotated[Path | None, typer.Option(help="Labels, one a line, for a model file that does not carry its own.")]
Preprocess = Annotated[
    str | None,
    typer.Option(
        help="Preprocessing for a model file that does not carry its own: RESIZE[:CROP][,mean=M][,std=S]"
        "[,interpolation=I], such as center_crop:0.875,mean=127.5,std=127.5."
    ),
]
Augment = Annotated[
    str | None,
    typer.Option(
        metavar="KEY=VALUE,...",
        help="Random changes to training photos, such as flip=false,crop=0.3; none switches them off.",
    ),
]
Height = Annotated[int | None, typer.Option(help="Input height; the backbone's own if not given.")]
Width = Annotated[int | None, typer.Option(help="Input width; the backbone's own if not given.")]
Resize = Annotated[
    Literal["center_crop", "squash", "letterbox"], typer.Option(help="How photos are brought to that size.")
]
CropFraction = Annotated[float, typer.Option(help="Share of the largest centered region that center_crop keeps.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same split, calibration and, on a CPU, model.", min=0)]


def augment_from(option: str | None) -> AugmentSettings:
    """What `--augment` says, or training's own where it is not given. Raises `InputError`."""
    settings: AugmentSettings = TrainSettings.default("augment") if option is None else parse_augment(option)
    return settings


def settings_from(kind: type[AnySettings], **options: Any) -> AnySettings:
    """Settings with the given options. Raises `InputError` in one line for values out of range."""
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + "-".join(str(part) for part in first["loc"][:1]).replace("_", "-")
        raise InputError(f"{option}: {first['msg'].lower()}, got {first['input']}") from None
