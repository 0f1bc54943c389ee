"""The `edgecnn preview` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_fields, print_json, say
from edgecnn.cli.options.from_settings import Override, options_from
from edgecnn.cli.options.shared import AUGMENT, Json
from edgecnn.core.settings.augment import augment_args
from edgecnn.core.settings.command_settings import TrainSettings


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(preview)


@options_from(
    TrainSettings,
    only=("augment", "model", "height", "width", "resize", "crop_fraction", "seed"),
    overrides={
        "augment": AUGMENT,
        "model": Override(help="Backbone network to prepare the photos for; `edgecnn models` lists them."),
        "seed": Override(min=0, help="Seed; another one shows other photos with other random changes."),
    },
)
def preview(
    data: Annotated[Path, typer.Argument(help="Folder of labeled photos, as for edgecnn train.")],
    *,
    out: Annotated[Path, typer.Option(help="Picture to create, a PNG.")],
    settings: TrainSettings,
    json: Json = False,
) -> None:
    """Draw some photos as training will see them: preprocessed and changed at random."""
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(settings.model)  # Reject a misspelled name before TensorFlow is loaded.
    from edgecnn.training.preview import preview_augmentation

    with ProgressBars() as progress:
        shown = preview_augmentation(data, settings, out, progress=progress)
    if json:
        photos = [str(example.path) for example in shown]
        print_json({"path": str(out), "augment": settings.augment.model_dump(), "photos": photos})
        return
    changes = (change.partition("=") for change in augment_args(settings.augment))
    print_fields([(key, value) for key, _, value in changes])
    say(f"{out} shows {len(shown)} photos and how training would change them")
