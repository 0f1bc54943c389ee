"""The `edgecnn train` and `edgecnn qat` commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, report_unreadable, say
from edgecnn.cli.options.from_settings import Override, options_from
from edgecnn.cli.options.shared import AUGMENT, SEED, Json
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings

if TYPE_CHECKING:
    from edgecnn.core.run.run_folder import QatRecord, RunRecord

_FIGURES = {
    "accuracy": "top-1",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_f1": "F1",
    "auc_roc": "AUC",
    "ece": "ECE",
}
"""Metrics of a run that are printed, with their column titles. Precision, recall and F1 are means over the classes."""
_LISTED_UNREADABLE = 5
"""Maximum number of unreadable photos that are named."""
_DATA, _NETWORK, _FITTING, _REGULARIZATION, _HARDWARE, _RUN = (
    "Data",
    "Network",
    "Fitting",
    "Augmentation and regularization",
    "Hardware",
    "Run",
)
_PANELS = {
    _DATA: ("validation_fraction", "test_fraction"),
    _NETWORK: ("model", "alpha", "weights", "height", "width", "resize", "crop_fraction", "dropout"),
    _FITTING: (
        *("epochs", "learning_rate", "fine_tune_epochs", "fine_tune_learning_rate", "unfreeze", "schedule"),
        *("warmup_epochs", "optimizer", "batch_size", "monitor", "patience"),
    ),
    _REGULARIZATION: ("augment", "mixup", "label_smoothing", "weight_decay", "balance"),
    _HARDWARE: ("mixed_precision", "xla"),
    _RUN: ("seed",),
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(train)
    app.command()(qat)


@options_from(
    TrainSettings,
    exclude=("interpolation",),
    overrides={"augment": AUGMENT, "seed": SEED, "unfreeze": Override(metavar="NUMBER|LAYER|all")},
    panels=_PANELS,
)
def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with one folder of photos per class, or with train/, validation/ and test/ of them."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Run folder to create.", rich_help_panel=_RUN)],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse DATA with unreadable photos.", rich_help_panel=_DATA)
    ] = False,
    settings: TrainSettings,
    workers: Annotated[
        str | None,
        typer.Option(
            help="Train on several machines: the addresses of all of them, including this one.",
            metavar="HOST:PORT,...",
            rich_help_panel=_HARDWARE,
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            help="Index of this machine in --workers, from 0; machine 0 writes the run.", rich_help_panel=_HARDWARE
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an interrupted training in --out after its last finished epoch.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the run that is already in --out.", rich_help_panel=_RUN)
    ] = False,
    json: Json = False,
) -> None:
    """Train a classifier on a folder of labeled photos."""
    from edgecnn.training.networks.catalog import backbone_spec

    backbone_spec(settings.model, settings.alpha)  # Reject a misspelled name before TensorFlow is loaded.
    from edgecnn.training.fitting.distribution import parse_workers
    from edgecnn.training.train import train as train_run

    cluster = parse_workers(workers, rank)
    with ProgressBars() as progress:
        record = train_run(
            data,
            out,
            settings,
            strict=strict,
            force=force,
            resume=resume,
            workers=cluster,
            progress=progress,
            log=say,
        )
    if cluster and cluster.rank:
        say("done; worker 0 has written the run")
        return
    report_unreadable(record.unreadable, limit=_LISTED_UNREADABLE)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    _print_metrics(record)
    say(f"{out} is ready: edgecnn export {out} --int8")


@options_from(QatSettings, overrides={"seed": SEED})
def qat(
    run: Annotated[Path, typer.Argument(help="Run folder of edgecnn train.")],
    *,
    settings: QatSettings,
    force: Annotated[bool, typer.Option("--force", help="Replace the quantization-aware weights of the run.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training after its last finished epoch.")
    ] = False,
    json: Json = False,
) -> None:
    """Add quantization-aware training to a run, for an int8 model that loses less accuracy."""
    from edgecnn.training.qat import train_quantization_aware

    with ProgressBars() as progress:
        record = train_quantization_aware(run, settings, force=force, resume=resume, progress=progress, log=say)
    if json:
        print_json(record.model_dump(mode="json"))
        return
    if record.qat:
        _print_validation(record, record.qat)
    say(f"edgecnn export {run} --int8 uses these weights")


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


def _print_validation(record: RunRecord, trained: QatRecord) -> None:
    rows = [
        ("float32", f"{record.metrics['validation_accuracy']:.4f}"),
        ("calibrated start", f"{trained.start_val_accuracy:.4f}"),
        (f"best, epoch {trained.best_epoch}", f"{trained.val_accuracy:.4f}"),
    ]
    print_table("validation accuracy", ("weights", "top-1"), rows)
