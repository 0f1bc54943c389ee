"""The `edgecnn evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, report_unreadable, say
from edgecnn.cli.options.shared import Baseline, Json, Labels, Model, Preprocess, Threads
from edgecnn.core.settings.command_settings import THREADS

_FIGURES = (
    *("top1", "top5", "macro_precision", "macro_recall", "macro_f1"),
    *("weighted_precision", "weighted_recall", "weighted_f1", "auc_roc", "ece", "mce", "brier"),
)
_CLASS_FIGURES = {"precision": "precision", "recall": "recall", "f1": "F1", "auc_roc": "AUC"}
"""Metrics of each class that are printed, with their column titles."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(help="Folder of class folders with photos; the run's test photos if MODEL is in a run folder."),
    ] = None,
    *,
    baseline: Baseline = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, validation, test or all; test if DATA has a test split, otherwise all."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="Gate: points of top-1 that MODEL may lose; exit with 3 if it fails, with 4 if there are too few "
            "photos."
        ),
    ] = None,
    threads: Threads = THREADS,
    labels: Labels = None,
    preprocess: Preprocess = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse unreadable photos.")] = False,
    json: Json = False,
) -> None:
    """Measure accuracy on labeled photos with the classifier that runs on the device, and compare with a baseline."""
    from edgecnn.bench.accuracy import evaluation_record
    from edgecnn.bench.evaluation import evaluate_models
    from edgecnn.bench.gate import enforce
    from edgecnn.bench.results import save_evaluation
    from edgecnn.runtime.inference.classifier import load_model

    with ProgressBars() as progress:
        evaluation, unreadable = evaluate_models(
            load_model(model, labels=labels, preprocess=preprocess),
            load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None,
            data=data,
            split=split,
            strict=strict,
            threads=threads,
            max_drop=max_drop,
            progress=progress,
        )
    report_unreadable(unreadable)
    for saved in save_evaluation(evaluation):
        say(f"saved {saved}")
    record = evaluation_record(evaluation).to_json()
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
        (metrics["label"], *(_figure(metrics[name]) for name in _CLASS_FIGURES), str(metrics["support"]))
        for metrics in record["per_class"]
    ]
    print_table(f"by class, {model.name}", ("class", *_CLASS_FIGURES.values(), "photos"), per_class)
    for name, values in columns:
        if threshold := values["threshold"]:
            print(
                f"{name} decides on {threshold['label']} at a score of {threshold['threshold']:.4f} or more, picked "
                f"for a recall of {threshold['min_recall']:g}"
            )
    if paired := record["paired"]:
        low, high = (100 * bound for bound in paired["ci95"])
        print(
            f"difference in top-1: {100 * paired['delta_top1']:+.2f} points, 95 % between {low:+.2f} and {high:+.2f}; "
            f"p = {paired['p_value']:.3g}; {paired['agreement']:.1%} of the decisions agree"
        )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
