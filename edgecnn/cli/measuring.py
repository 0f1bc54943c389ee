"""`edgecnn evaluate`, `benchmark`, `compare` and `report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.benchmark_tables import print_benchmark, print_comparison
from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Json, Labels, Preprocess, Threads, settings_from
from edgecnn.cli.there import On, SshConfig, words_of
from edgecnn.core.settings import BenchmarkSettings, EvaluateSettings

if TYPE_CHECKING:
    from edgecnn.bench.photo_sample import PhotoSample

_FIGURES = (
    *("top1", "top5", "macro_precision", "macro_recall", "macro_f1"),
    *("weighted_precision", "weighted_recall", "weighted_f1", "auc_roc", "ece", "mce", "brier"),
)
_CLASS_FIGURES = ("precision", "recall", "f1", "auc_roc")

Baseline = Annotated[Path | None, typer.Option(help="A model file to compare with, the float32 one as a rule.")]


def register(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.command()(evaluate)
    app.command()(benchmark)
    app.command()(compare)
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
    threads: Annotated[
        str, typer.Option(help="Threads of the interpreter; several, such as 1,2,4, are compared with one another.")
    ] = str(BenchmarkSettings.default("threads")),
    quick: Annotated[bool, typer.Option("--quick", help="128 queries and 10 s, for a first look.")] = False,
    queries: Annotated[
        int | None, typer.Option(help="Least number of samples of each model; 1024 if not given.", min=1)
    ] = BenchmarkSettings.default("queries"),
    seconds: Annotated[
        float | None, typer.Option(help="Least duration of the measured part; 60 if not given.", min=0)
    ] = BenchmarkSettings.default("seconds"),
    data: Annotated[
        Path | None, typer.Option(help="Class folders with photos, to measure accuracy on as well.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="So many photos of --data, stratified; the same on every machine.", min=1)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report here as JSON, for edgecnn compare.")] = None,
    labels: Labels = None,
    preprocess: Preprocess = None,
    seed: Annotated[int, typer.Option(help="Of the frames, and of the choice of photos.", min=0)] = 0,
    on: On = None,
    ssh_config: SshConfig = None,
    json: Json = False,
) -> None:
    """Measure latency by stage on 640x480 frames, in turns with a baseline, and what goes with it."""
    from edgecnn.bench.benchmark_record import benchmark_record
    from edgecnn.bench.measure import measure, parse_thread_counts
    from edgecnn.bench.photo_sample import sample_photos
    from edgecnn.bench.results import save_benchmark
    from edgecnn.core.atomic import write_json
    from edgecnn.runtime.classifier import load_model

    counts = parse_thread_counts(threads)
    settings = settings_from(BenchmarkSettings, quick=quick, threads=counts[0], queries=queries, seconds=seconds)
    subject = load_model(model, labels=labels, preprocess=preprocess)
    reference = load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None
    with ProgressBars() as progress:
        models = [subject, reference] if reference else [subject]
        photos = sample_photos(models, data, limit=limit, seed=seed, progress=progress)
        if on is None:
            sweep = counts if len(counts) > 1 else ()
            record = benchmark_record(
                measure(subject, reference, settings, sweep=sweep, sample=photos, seed=seed, progress=progress)
            )
        else:
            given = {
                "--baseline": baseline,
                "--threads": threads,
                "--queries": queries,
                "--seconds": seconds,
                "--labels": labels,
                "--preprocess": preprocess,
                "--seed": seed,
            }
            words = [model, *words_of(given), *(["--quick"] if quick else [])]
            record = _measured_there(on, words, photos, ssh_config)
    for path in photos.unreadable if photos else ():
        say(f"skipped, cannot be decoded: {path}")
    if out:
        write_json(out, record)
    if saved := save_benchmark(model, record):
        say(f"saved {saved}")
    if json:
        print_json(record)
    else:
        print_benchmark(record)


def _measured_there(
    on: str, words: Sequence[str | Path], photos: PhotoSample | None, ssh_config: Path | None
) -> dict[str, Any]:
    """The record of a benchmark on the device `on`; leaves with the device's exit status if it did not measure."""
    from edgecnn.deploy.address import parse_address
    from edgecnn.deploy.benchmarking import benchmark_there

    done = benchmark_there(parse_address(on), words, photos, config=ssh_config, tell=say)
    if done.record is None:
        raise typer.Exit(done.status)
    return done.record


def compare(
    reports: Annotated[list[Path], typer.Argument(help="Reports of edgecnn benchmark; the first is the base.")],
    fail_above: Annotated[
        str | None,
        typer.Option(help="Gate, such as 10%: exit 3 if a report is slower than the first by more, 4 if unsure."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Set benchmark reports side by side: several machines, settings or versions of a model."""
    from edgecnn.bench.compare import compare_reports, comparison_record
    from edgecnn.bench.speed_gate import enforce_speed, parse_percent

    percent = None if fail_above is None else parse_percent(fail_above)
    comparison = compare_reports(reports, fail_above_percent=percent, seed=seed)
    record = comparison_record(comparison)
    if json:
        print_json(record)
    else:
        print_comparison(record)
    for warning in comparison.warnings:
        say(f"warning: {warning}")
    if comparison.gate:
        enforce_speed(comparison.gate)
        say(comparison.gate.message)


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
