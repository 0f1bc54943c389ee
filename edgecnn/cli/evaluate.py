"""The `edgecnn evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Baseline, Json, Labels, Preprocess, Threads
from edgecnn.core.settings.command_settings import EvaluateSettings

_FIGURES = (
    *("top1", "top5", "macro_precision", "macro_recall", "macro_f1"),
    *("weighted_precision", "weighted_recall", "weighted_f1", "auc_roc", "ece", "mce", "brier"),
)
_CLASS_FIGURES = ("precision", "recall", "f1", "auc_roc")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    model: Annotated[Path, typer.Argument(help="A .tflite file.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="Class folders with photos; the run's own test photos if the model lies in a run folder."),
    ] = None,
    baseline: Baseline = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation, test or all; test where DATA has one, else all.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Gate: points of top-1 that MODEL may lose; exit 3 if it fails, 4 if photos are too few."),
    ] = EvaluateSettings.default("max_drop"),
    threads: Threads = EvaluateSettings.default("threads"),
    labels: Labels = None,
    preprocess: Preprocess = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse unreadable photos.")] = False,
    json: Json = False,
) -> None:
    """Measure accuracy on labeled photos through the device's own classifier, beside a baseline."""
    from edgecnn.bench.accuracy import evaluate as evaluate_model
    from edgecnn.bench.accuracy import evaluation_record
    from edgecnn.bench.gate import enforce
    from edgecnn.bench.photos import photos_to_measure
    from edgecnn.bench.results import save_evaluation
    from edgecnn.runtime.inference.classifier import Classifier, load_model

    subject = load_model(model, labels=labels, preprocess=preprocess)
    reference = load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None
    with ProgressBars() as progress:
        photos = photos_to_measure(model, data, split, strict=strict, progress=progress)
        evaluation = evaluate_model(
            Classifier(subject, threads=threads),
            photos.examples,
            photos.labels,
            baseline=Classifier(reference, threads=threads) if reference else None,
            max_drop=max_drop,
            progress=progress.counting("classifying"),
        )
    for path in photos.unreadable:
        say(f"skipped, cannot be decoded: {path}")
    if photos.unreadable:
        say(f"{len(photos.unreadable)} unreadable photos were skipped; --strict refuses them")
    record = evaluation_record(evaluation).to_json()
    for saved in save_evaluation(evaluation):
        say(f"saved {saved}")
    if json:
        print_json(record)
    else:
        _print_evaluation(model, baseline, record)
    if evaluation.gate:
        enforce(evaluation.gate)
        say(evaluation.gate.message)


def _print_evaluation(model: Path, baseline: Path | None, record: dict[str, Any]) -> None:
    columns: list[tuple[str, dict[str, Any]]] = [(model.name, record)]
    if baseline and record["baseline"]:
        columns.append((baseline.name, record["baseline"]))
    rows = [(name, *(_figure(values[name]) for _, values in columns)) for name in _FIGURES]
    print_table(f"{record['n']} photos", ("metric", *(name for name, _ in columns)), rows)
    per_class = [
        (
            each["label"],
            *(_figure(each[name]) for name in ("precision", "recall", "f1", "auc_roc")),
            str(each["support"]),
        )
        for each in record["per_class"]
    ]
    print_table(f"by class, {model.name}", ("class", "precision", "recall", "F1", "AUC", "photos"), per_class)
    for name, values in columns:
        if threshold := values["threshold"]:
            print(
                f"{name} decides on {threshold['label']} from a score of {threshold['threshold']:.4f} on, picked for a "
                f"recall of {threshold['min_recall']:g}"
            )
    if paired := record["paired"]:
        low, high = (100 * bound for bound in paired["ci95"])
        print(
            f"difference in top-1: {100 * paired['delta_top1']:+.2f} points, 95 % between {low:+.2f} and {high:+.2f}; "
            f"p = {paired['p_value']:.3g}; {paired['agreement']:.1%} of the decisions agree"
        )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
