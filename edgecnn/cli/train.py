"""`edgecnn train` and `edgecnn qat`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Augment, CropFraction, Height, Json, Resize, Seed, Width, augment_from, settings_from
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings

if TYPE_CHECKING:
    from edgecnn.core.run.run_folder import RunRecord

_FIGURES = {
    "accuracy": "top-1",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_f1": "F1",
    "auc_roc": "AUC",
    "ece": "ECE",
}
"""What is printed of a run's metrics; precision, recall and F1 are means over the classes."""
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
    weights: Annotated[
        str, typer.Option(help="imagenet, none, a file, or auto: ImageNet's where there are any.")
    ] = TrainSettings.default("weights"),
    height: Height = TrainSettings.default("height"),
    width: Width = TrainSettings.default("width"),
    resize: Resize = TrainSettings.default("resize"),
    crop_fraction: CropFraction = TrainSettings.default("crop_fraction"),
    epochs: Annotated[
        int, typer.Option(help="At most, for the head, or for a network without pretrained weights.")
    ] = TrainSettings.default("epochs"),
    learning_rate: Annotated[float, typer.Option(help="At its height, for the same.")] = TrainSettings.default(
        "learning_rate"
    ),
    fine_tune_epochs: Annotated[
        int, typer.Option(help="At most, with the last blocks unfrozen; 0 skips this phase.")
    ] = TrainSettings.default("fine_tune_epochs"),
    fine_tune_learning_rate: Annotated[
        float, typer.Option(help="At its height, for what is unfrozen.")
    ] = TrainSettings.default("fine_tune_learning_rate"),
    unfreeze: Annotated[
        str, typer.Option(help="So many last blocks, or from this layer on, or all.", metavar="NUMBER|LAYER|all")
    ] = str(TrainSettings.default("unfreeze")),
    schedule: Annotated[
        Literal["plateau", "constant", "cosine"], typer.Option(help="Of the learning rate.")
    ] = TrainSettings.default("schedule"),
    warmup_epochs: Annotated[
        float, typer.Option(help="The learning rate rises for so long, in each phase.")
    ] = TrainSettings.default("warmup_epochs"),
    optimizer: Annotated[Literal["adam", "sgd", "rmsprop"], typer.Option()] = TrainSettings.default("optimizer"),
    weight_decay: Annotated[float, typer.Option(help="Decoupled: with adam it makes AdamW.")] = TrainSettings.default(
        "weight_decay"
    ),
    label_smoothing: Annotated[
        float, typer.Option(help="Share of the target that goes to all classes.")
    ] = TrainSettings.default("label_smoothing"),
    mixup: Annotated[
        float, typer.Option(help="Blend photos by shares from Beta(MIXUP, MIXUP); 0 for none.")
    ] = TrainSettings.default("mixup"),
    dropout: Annotated[
        float | None, typer.Option(help="Before the last layer; the network's own if not given.")
    ] = TrainSettings.default("dropout"),
    batch_size: Annotated[int, typer.Option(help="Photos in a step, over all GPUs and workers.")] = (
        TrainSettings.default("batch_size")
    ),
    balance: Annotated[
        bool, typer.Option("--balance", help="Weigh photos so that every class counts the same.")
    ] = TrainSettings.default("balance"),
    monitor: Annotated[
        str,
        typer.Option(help="What says which epoch is best: val_loss, val_accuracy, val_auc, val_recall:CLASS, ..."),
    ] = TrainSettings.default("monitor"),
    patience: Annotated[int, typer.Option(help="Epochs without progress that end a phase.")] = TrainSettings.default(
        "patience"
    ),
    augment: Augment = None,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the photos to validate with, where DATA does not say.")
    ] = TrainSettings.default("validation_fraction"),
    test_fraction: Annotated[
        float, typer.Option(help="Share of the photos to test with, where DATA is undivided.")
    ] = TrainSettings.default("test_fraction"),
    mixed_precision: Annotated[
        bool | None, typer.Option("--mixed-precision/--no-mixed-precision", help="float16 arithmetic; on with a GPU.")
    ] = TrainSettings.default("mixed_precision"),
    xla: Annotated[
        bool | None, typer.Option("--xla/--no-xla", help="Compile the training step; on with a GPU.")
    ] = TrainSettings.default("xla"),
    workers: Annotated[
        str | None,
        typer.Option(help="Train on several machines: all of them, this one among them.", metavar="HOST:PORT,..."),
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Which of --workers this is, from 0; 0 writes the run.")] = None,
    seed: Seed = TrainSettings.default("seed"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last finished epoch of the training that --out holds.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse DATA with unreadable photos.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that --out holds.")] = False,
    json: Json = False,
) -> None:
    """Train a classifier on a folder of labeled photos."""
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
        fine_tune_epochs=fine_tune_epochs,
        fine_tune_learning_rate=fine_tune_learning_rate,
        unfreeze=unfreeze,
        schedule=schedule,
        warmup_epochs=warmup_epochs,
        optimizer=optimizer,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        mixup=mixup,
        dropout=dropout,
        batch_size=batch_size,
        balance=balance,
        monitor=monitor,
        patience=patience,
        augment=augment_from(augment),
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        mixed_precision=mixed_precision,
        xla=xla,
        seed=seed,
    )
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(model, alpha)  # A misspelled name should not have to wait for TensorFlow.
    from edgecnn.training.fitting.distribution import parse_workers
    from edgecnn.training.train import train as train_run

    party = parse_workers(workers, rank)
    with ProgressBars() as progress:
        record = train_run(
            data,
            out,
            settings,
            strict=strict,
            force=force,
            resume=resume,
            workers=party,
            progress=progress,
            log=say,
        )
    if party and party.rank:
        say("done; worker 0 has written the run")
        return
    for path in record.unreadable[:5]:
        say(f"skipped, cannot be decoded: {path}")
    if record.unreadable:
        say(f"{len(record.unreadable)} unreadable photos were skipped; --strict refuses them")
    if json:
        print_json(record.model_dump(mode="json"))
        return
    _print_metrics(record)
    say(f"{out} is ready: edgecnn export {out} --int8")


def _print_metrics(record: RunRecord) -> None:
    rows = [
        (split, str(count), *(_figure(record.metrics.get(f"{split}_{name}")) for name in _FIGURES))
        for split, count in record.dataset.counts.items()
        if f"{split}_accuracy" in record.metrics
    ]
    title = f"{record.backbone}, {len(record.labels)} classes"
    print_table(title, ("split", "photos", *_FIGURES.values()), rows)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


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
    force: Annotated[bool, typer.Option("--force", help="Replace the quantization-aware weights of the run.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    json: Json = False,
) -> None:
    """Add quantization-aware training to a run, for an int8 model that loses less."""
    settings = settings_from(
        QatSettings,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        calibration_images=calibration_images,
        seed=seed,
    )
    from edgecnn.training.qat import train_quantization_aware

    with ProgressBars() as progress:
        record = train_quantization_aware(run, settings, force=force, resume=resume, progress=progress, log=say)
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
