"""`edgecnn evaluate`, `edgecnn benchmark` and `edgecnn report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Json, Labels, Preprocess, Seed, Threads
from edgecnn.core.settings import BenchmarkSettings, EvaluateSettings

Baseline = Annotated[Path | None, typer.Option(help="A model file to compare with, the float32 one as a rule.")]


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command()(evaluate)
    app.command()(benchmark)
    app.command()(report)


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
    """Measure accuracy on labelled photos through the device's own classifier, beside a baseline."""
    from edgecnn.bench.accuracy import evaluate as evaluate_model
    from edgecnn.bench.accuracy import evaluation_record
    from edgecnn.bench.gate import enforce
    from edgecnn.bench.photos import photos_to_measure
    from edgecnn.bench.results import save_evaluation
    from edgecnn.runtime.classifier import Classifier, load_model

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
    record = evaluation_record(evaluation)
    for saved in save_evaluation(evaluation):
        say(f"saved {saved}")
    if json:
        print_json(record)
    else:
        _print_evaluation(model, baseline, record)
    if evaluation.gate:
        enforce(evaluation.gate)
        say(evaluation.gate.message)


def benchmark(
    model: Annotated[Path, typer.Argument(help="A .tflite file.")],
    baseline: Baseline = None,
    threads: Threads = BenchmarkSettings.default("threads"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer samples, for a first look.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON, raw samples with it.")] = None,
    labels: Labels = None,
    preprocess: Preprocess = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Measure latency by stage on 640x480 frames, in turns with a baseline."""
    from edgecnn.bench.latency import QUICK, Protocol, benchmark_record, frames_for
    from edgecnn.bench.latency import benchmark as benchmark_model
    from edgecnn.bench.results import save_benchmark
    from edgecnn.core.atomic import write_json
    from edgecnn.runtime.classifier import load_model

    subject = load_model(model, labels=labels, preprocess=preprocess)
    reference = load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None
    protocol = QUICK if quick else Protocol()
    with ProgressBars() as progress:
        result = benchmark_model(
            subject,
            baseline=reference,
            frames=frames_for(protocol, seed),
            threads=threads,
            protocol=protocol,
            progress=progress.counting("measuring latency"),
        )
    if out:
        write_json(out, benchmark_record(result, samples=True))
    if saved := save_benchmark(model, result):
        say(f"saved {saved}")
    record = benchmark_record(result)
    if json:
        print_json(record)
    else:
        _print_benchmark(record)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder of edgecnn train.")],
    out: Annotated[Path | None, typer.Option(help="The page to write; RUN/report.html if not given.")] = None,
) -> None:
    """Write an HTML page of a run: training, models, accuracy and latency."""
    from edgecnn.bench.report import write_report

    print(write_report(run, out))


def _print_evaluation(model: Path, baseline: Path | None, record: dict[str, Any]) -> None:
    columns: list[tuple[str, dict[str, Any]]] = [(model.name, record)]
    if baseline and record["baseline"]:
        columns.append((baseline.name, record["baseline"]))
    figures = ("top1", "top5", "macro_f1", "auc_roc")
    rows = [(name, *(_figure(values[name]) for _, values in columns)) for name in figures]
    print_table(f"{record['n']} photos", ("metric", *(name for name, _ in columns)), rows)
    per_class = [
        (each["label"], *(_figure(each[name]) for name in ("precision", "recall", "f1")), str(each["support"]))
        for each in record["per_class"]
    ]
    print_table(f"by class, {model.name}", ("class", "precision", "recall", "F1", "photos"), per_class)
    if paired := record["paired"]:
        low, high = (100 * bound for bound in paired["ci95"])
        print(
            f"difference in top-1: {100 * paired['delta_top1']:+.2f} points, 95 % between {low:+.2f} and {high:+.2f}; "
            f"p = {paired['p_value']:.3g}; {paired['agreement']:.1%} of the decisions agree"
        )


def _print_benchmark(record: dict[str, Any]) -> None:
    measured = [(record["model"]["name"], record["stages"])]
    if record["baseline"]:
        measured.append((record["baseline"]["name"], record["baseline"]["stages"]))
    rows = [
        (
            f"{name}: {stage}",
            *(f"{stats[key]:.3f}" for key in ("p50_ms", "p90_ms", "p99_ms", "min_ms")),
            str(stats["n"]),
        )
        for name, stages in measured
        for stage, stats in stages.items()
    ]
    threads = record["model"]["threads"]
    title = f"milliseconds a frame, {threads} thread{'s' if threads > 1 else ''}"
    print_table(title, ("stage", "p50", "p90", "p99", "min", "samples"), rows)
    print(f"cold start {record['cold_start_ms']:.1f} ms, {record['environment']['cpu'] or 'unknown processor'}")
    if record["baseline"]:
        print(
            f"{record['speedup_p50']:.2f} times as fast as {record['baseline']['name']} (p50 of the total), "
            f"{record['size_ratio']:.2f} times smaller"
        )
    for reason in record["invalid_reasons"]:
        say(f"not valid: {reason}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
