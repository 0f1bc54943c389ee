"""`edgecnn train` and `edgecnn qat`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Json, Seed, settings_from
from edgecnn.core.settings import QatSettings, TrainSettings

_DATA = "A folder of class folders with photos, or one that has train/, validation/ and test/ of them."


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command()(train)
    app.command()(qat)


def train(
    data: Annotated[Path, typer.Argument(help=_DATA)],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    model: Annotated[str, typer.Option(help="Backbone; `edgecnn models` lists them.")] = TrainSettings.default("model"),
    alpha: Annotated[float | None, typer.Option(help="Width of a MobileNet.")] = TrainSettings.default("alpha"),
    weights: Annotated[str, typer.Option(help="imagenet, none, or a file.")] = TrainSettings.default("weights"),
    height: Annotated[int | None, typer.Option(help="Input height; the backbone's own if not given.")] = None,
    width: Annotated[int | None, typer.Option(help="Input width; the backbone's own if not given.")] = None,
    resize: Annotated[
        Literal["center_crop", "squash", "letterbox"], typer.Option(help="How photos are brought to that size.")
    ] = TrainSettings.default("resize"),
    crop_fraction: Annotated[
        float, typer.Option(help="Share of the largest centred region that center_crop keeps.")
    ] = TrainSettings.default("crop_fraction"),
    epochs: Annotated[int, typer.Option(help="At most, for the head.")] = TrainSettings.default("epochs"),
    learning_rate: Annotated[float, typer.Option(help="For the head.")] = TrainSettings.default("learning_rate"),
    dropout: Annotated[float, typer.Option(help="Before the head.")] = TrainSettings.default("dropout"),
    batch_size: Annotated[int, typer.Option(help="Photos in a step.")] = TrainSettings.default("batch_size"),
    fine_tune_epochs: Annotated[
        int, typer.Option(help="At most, with the last blocks unfrozen; 0 skips this phase.")
    ] = TrainSettings.default("fine_tune_epochs"),
    unfreeze: Annotated[int, typer.Option(help="How many last blocks to unfreeze.")] = TrainSettings.default(
        "unfreeze"
    ),
    fine_tune_learning_rate: Annotated[float, typer.Option(help="For the unfrozen blocks.")] = TrainSettings.default(
        "fine_tune_learning_rate"
    ),
    flip: Annotated[bool, typer.Option(help="Mirror photos in fine-tuning.")] = TrainSettings.default("flip"),
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the photos to validate with, where DATA does not say.")
    ] = TrainSettings.default("validation_fraction"),
    test_fraction: Annotated[
        float, typer.Option(help="Share of the photos to test with, where DATA is undivided.")
    ] = TrainSettings.default("test_fraction"),
    seed: Seed = TrainSettings.default("seed"),
    strict: Annotated[bool, typer.Option("--strict", help="Refuse DATA with unreadable photos.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that --out holds.")] = False,
    json: Json = False,
) -> None:
    """Train a classifier on a folder of labelled photos."""
    settings = settings_from(
        TrainSettings,
        model=model,
        alpha=alpha,
        weights=weights,
        height=height,
        width=width,
        resize=resize,
        crop_fraction=crop_fraction,
        epochs=epochs,
        learning_rate=learning_rate,
        dropout=dropout,
        batch_size=batch_size,
        fine_tune_epochs=fine_tune_epochs,
        unfreeze=unfreeze,
        fine_tune_learning_rate=fine_tune_learning_rate,
        flip=flip,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
    from edgecnn.train.zoo import backbone_spec

    backbone_spec(model, alpha)  # A misspelt name should not have to wait for TensorFlow.
    from edgecnn.train.transfer import train as train_run

    with ProgressBars() as progress:
        record = train_run(data, out, settings, strict=strict, force=force, progress=progress)
    for path in record.unreadable[:5]:
        say(f"skipped, cannot be decoded: {path}")
    if record.unreadable:
        say(f"{len(record.unreadable)} unreadable photos were skipped; --strict refuses them")
    if json:
        print_json(record.model_dump(mode="json"))
        return
    accuracies = [(name.removesuffix("_accuracy"), f"{value:.4f}") for name, value in record.metrics.items()]
    rows = [(split, str(record.dataset.counts[split]), accuracy) for split, accuracy in accuracies]
    print_table(f"{record.backbone}, {len(record.labels)} classes", ("split", "photos", "top-1"), rows)
    say(f"{out} is ready: edgecnn export {out} --int8")


def qat(
    run: Annotated[Path, typer.Argument(help="A run folder of edgecnn train.")],
    epochs: Annotated[int, typer.Option(help="At most; 0 keeps the calibrated start.")] = QatSettings.default("epochs"),
    learning_rate: Annotated[float, typer.Option(help="Small: the network is trained already.")] = QatSettings.default(
        "learning_rate"
    ),
    batch_size: Annotated[int, typer.Option(help="Photos in a step.")] = QatSettings.default("batch_size"),
    calibration_images: Annotated[int, typer.Option(help="Training photos that set the ranges.")] = QatSettings.default(
        "calibration_images"
    ),
    seed: Seed = QatSettings.default("seed"),
    json: Json = False,
) -> None:
    """Add quantisation-aware training to a run, for an int8 model that loses less."""
    settings = settings_from(
        QatSettings,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        calibration_images=calibration_images,
        seed=seed,
    )
    from edgecnn.train.qat import train_quantization_aware

    with ProgressBars() as progress:
        record = train_quantization_aware(run, settings, progress=progress)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    assert record.qat is not None
    rows = [
        ("float32", f"{record.metrics['validation_accuracy']:.4f}"),
        ("calibrated start", f"{record.qat.start_val_accuracy:.4f}"),
        (f"best, epoch {record.qat.best_epoch}", f"{record.qat.val_accuracy:.4f}"),
    ]
    print_table("validation accuracy", ("weights", "top-1"), rows)
    say(f"edgecnn export {run} --int8 takes these weights")
