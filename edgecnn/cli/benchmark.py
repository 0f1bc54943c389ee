"""The `edgecnn benchmark` and `edgecnn compare` commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.benchmark_tables import print_benchmark, print_comparison
from edgecnn.cli.console import ProgressBars, print_json, say
from edgecnn.cli.options.from_settings import Override, options_from
from edgecnn.cli.options.remote import On, SshConfig, to_argv
from edgecnn.cli.options.shared import Baseline, Json, Labels, Model, Preprocess
from edgecnn.core.settings.command_settings import THREADS, BenchmarkSettings

if TYPE_CHECKING:
    from edgecnn.bench.photo_sample import PhotoSample
    from edgecnn.core.records.benchmark import BenchmarkRecord


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(benchmark)
    app.command()(compare)


@options_from(
    BenchmarkSettings,
    exclude=("threads",),
    # A recipe measures briefly unless it says otherwise; on the command line --quick asks for it.
    overrides={"quick": Override(default=False), "queries": Override(min=1), "seconds": Override(min=0)},
)
def benchmark(
    model: Model,
    *,
    baseline: Baseline = None,
    threads: Annotated[
        str, typer.Option(help="Number of interpreter threads; several, such as 1,2,4, are compared with each other.")
    ] = str(THREADS),
    settings: BenchmarkSettings,
    data: Annotated[
        Path | None, typer.Option(help="Folder of class folders with photos, to measure accuracy as well.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of photos from --data, a stratified sample that is the same on every machine.", min=1
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this JSON file, for edgecnn compare.")] = None,
    labels: Labels = None,
    preprocess: Preprocess = None,
    seed: Annotated[int, typer.Option(help="Seed of the frames and of the sample of photos.", min=0)] = 0,
    on: On = None,
    ssh_config: SshConfig = None,
    json: Json = False,
) -> None:
    """Measure per-stage latency, memory and energy on 640x480 frames, interleaved with a baseline if given."""
    from edgecnn.bench.benchmark_record import benchmark_record
    from edgecnn.bench.measure import measure, parse_thread_counts
    from edgecnn.bench.photo_sample import sample_photos
    from edgecnn.bench.results import save_benchmark
    from edgecnn.core.atomic import write_json
    from edgecnn.runtime.inference.classifier import load_model

    counts = parse_thread_counts(threads)
    settings = settings.model_copy(update={"threads": counts[0]})
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
            options: dict[str, Path | str | float | None] = {
                "--baseline": baseline,
                "--threads": threads,
                "--queries": settings.queries,
                "--seconds": settings.seconds,
                "--labels": labels,
                "--preprocess": preprocess,
                "--seed": seed,
                "--quick": settings.quick,
            }
            record = _benchmark_on_device(on, [model, *to_argv(options)], photos, ssh_config)
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
    reports: Annotated[
        list[Path], typer.Argument(help="Reports of edgecnn benchmark; the others are compared with the first.")
    ],
    *,
    fail_above: Annotated[
        str | None,
        typer.Option(
            help="Gate, such as 10%: exit with 3 if a report is slower than the first by more, with 4 if undecided."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.", min=0)] = 0,
    json: Json = False,
) -> None:
    """Compare benchmark reports of several machines, settings or versions of a model."""
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


def _benchmark_on_device(
    on: str, argv: Sequence[str | Path], photos: PhotoSample | None, ssh_config: Path | None
) -> BenchmarkRecord:
    """Return the record of a benchmark on a device; exit with the device's status if it did not measure."""
    from edgecnn.deploy.address import parse_address
    from edgecnn.deploy.remote_benchmark import benchmark_remote

    finished = benchmark_remote(parse_address(on), argv, photos, config=ssh_config, log=say)
    if finished.record is None:
        raise typer.Exit(finished.status)
    return finished.record
