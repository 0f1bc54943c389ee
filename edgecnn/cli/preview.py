"""`edgecnn preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_fields, print_json, say
from edgecnn.cli.options import Augment, CropFraction, Height, Json, Resize, Width, augment_from, settings_from
from edgecnn.core.settings.augment import augment_args
from edgecnn.core.settings.command_settings import TrainSettings


def register(app: typer.Typer) -> None:
    """Adds this family's command."""
    app.command()(preview)


def preview(
    data: Annotated[Path, typer.Argument(help="The folder of labeled photos that edgecnn train would be given.")],
    out: Annotated[Path, typer.Option(help="The picture to make, a PNG.")],
    augment: Augment = None,
    model: Annotated[str, typer.Option(help="The backbone to prepare for.")] = TrainSettings.default("model"),
    height: Height = TrainSettings.default("height"),
    width: Width = TrainSettings.default("width"),
    resize: Resize = TrainSettings.default("resize"),
    crop_fraction: CropFraction = TrainSettings.default("crop_fraction"),
    seed: Annotated[
        int, typer.Option(help="Another seed shows other photos, changed otherwise.", min=0)
    ] = TrainSettings.default("seed"),
    json: Json = False,
) -> None:
    """Draw some photos as training will see them: prepared, and changed at random."""
    settings = settings_from(
        TrainSettings,
        augment=augment_from(augment),
        model=model,
        height=height,
        width=width,
        resize=resize,
        crop_fraction=crop_fraction,
        seed=seed,
    )
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(model)  # A misspelled name should not have to wait for TensorFlow.
    from edgecnn.training.preview import preview_augmentation

    with ProgressBars() as progress:
        shown = preview_augmentation(data, settings, out, progress=progress)
    if json:
        photos = [str(example.path) for example in shown]
        print_json({"path": str(out), "augment": settings.augment.model_dump(), "photos": photos})
        return
    print_fields([(key, value) for key, _, value in (word.partition("=") for word in augment_args(settings.augment))])
    say(f"{out} shows {len(shown)} photos and what training would make of them")
