"""The `edgecnn benchmark` and `edgecnn compare` commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.benchmark_tables import print_benchmark, print_comparison
from edgecnn.cli.console import ProgressBars, print_json, say
from edgecnn.cli.options import Baseline, Json, Labels, Preprocess, settings_from
from edgecnn.cli.remote_option import On, SshConfig, to_argv
from edgecnn.core.settings.command_settings import (
    FULL_QUERIES,
    FULL_SECONDS,
    QUICK_QUERIES,
    QUICK_SECONDS,
    BenchmarkSettings,
)

if TYPE_CHECKING:
    from edgecnn.bench.photo_sample import PhotoSample
    from edgecnn.core.records.benchmark import BenchmarkRecord


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(benchmark)
    app.command()(compare)


def benchmark(
    model: Annotated[Path, typer.Argument(help="A .tflite file.")],
    baseline: Baseline = None,
    threads: Annotated[
        str, typer.Option(help="Threads of the interpreter; several, such as 1,2,4, are compared with one another.")
    ] = str(BenchmarkSettings.default("threads")),
    quick: Annotated[
        bool, typer.Option("--quick", help=f"{QUICK_QUERIES} queries and {QUICK_SECONDS:g} s, for a first look.")
    ] = False,
    queries: Annotated[
        int | None, typer.Option(help=f"Least number of samples of each model; {FULL_QUERIES} if not given.", min=1)
    ] = BenchmarkSettings.default("queries"),
    seconds: Annotated[
        float | None, typer.Option(help=f"Least duration of the measured part; {FULL_SECONDS:g} if not given.", min=0)
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
    from edgecnn.runtime.inference.classifier import load_model

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
            words = [model, *to_argv(given), *(["--quick"] if quick else [])]
            record = _benchmark_remote(on, words, photos, ssh_config)
    for path in photos.unreadable if photos else ():
        say(f"skipped, cannot be decoded: {path}")
    printed = record.to_json()
    if out:
        write_json(out, printed)
    if saved := save_benchmark(model, record):
        say(f"saved {saved}")
    if json:
        print_json(printed)
    else:
        print_benchmark(printed)


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
    record = comparison_record(comparison).to_json()
    if json:
        print_json(record)
    else:
        print_comparison(record)
    for warning in comparison.warnings:
        say(f"warning: {warning}")
    if comparison.gate:
        enforce_speed(comparison.gate)
        say(comparison.gate.message)


def _benchmark_remote(
    on: str, words: Sequence[str | Path], photos: PhotoSample | None, ssh_config: Path | None
) -> BenchmarkRecord:
    """The record of a benchmark on the device `on`; leaves with the device's exit status if it did not measure."""
    from edgecnn.deploy.address import parse_address
    from edgecnn.deploy.benchmarking import benchmark_remote

    done = benchmark_remote(parse_address(on), words, photos, config=ssh_config, log=say)
    if done.record is None:
        raise typer.Exit(done.status)
    return done.record
