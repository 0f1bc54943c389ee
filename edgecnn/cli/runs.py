"""The `edgecnn runs` command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import print_json_lines, print_table, say
from edgecnn.cli.options.shared import Json

if TYPE_CHECKING:
    from edgecnn.core.run.run_list import ListedRun

_NONE = "-"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(runs)


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that contains run folders, at any depth.")] = Path("runs"),
    *,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC",
            help="Metric to sort by, such as test_accuracy, best run first; newest run first if not given.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the runs below a folder with their network, photos, metrics and exported files."""
    from edgecnn.core.run.run_list import best_first, list_runs, run_summary_record

    listed, problems = list_runs(folder)
    ordered = listed if sort is None else best_first(listed, sort)
    if json:
        print_json_lines(run_summary_record(run) for run in ordered)
    elif ordered:
        _print_runs(folder, ordered)
    for problem in problems:
        say(f"skipped: {problem}")
    if not ordered:
        say(f"no runs in {folder}: edgecnn train DATA --out {folder / 'NAME'} creates one")


def _print_runs(folder: Path, ordered: Sequence[ListedRun]) -> None:
    from edgecnn.core.run.run_list import metric_names

    columns = ("run", "backbone", "data", "input", "epochs", "QAT", "status", "created", "exported")
    texts = ("backbone", "data", "epochs", "status", "created", "exported")
    rows = [(_name(folder, run), *_training_cells(run)) for run in ordered]
    print_table("runs; QAT: validation accuracy after quantization-aware training", columns, rows, texts=texts)
    # Names of metrics are SPLIT_NAME. One table per split, because a single one would be too wide for a screen.
    names = metric_names(ordered)
    for split in dict.fromkeys(name.partition("_")[0] for name in names):
        metrics = [name for name in names if name.partition("_")[0] == split]
        values = [(_name(folder, run), *(_metric(run, name) for name in metrics)) for run in ordered]
        print_table(split, ("run", *(name.partition("_")[2] for name in metrics)), values)


def _training_cells(run: ListedRun) -> tuple[str, ...]:
    from edgecnn.core.run.run_list import epochs_by_phase

    record = run.record
    return (
        record.backbone,
        f"{record.data.name} {record.dataset.fingerprint[:8]}",
        f"{record.preprocess.height}x{record.preprocess.width}",
        ", ".join(f"{count} {phase}" for phase, count in epochs_by_phase(record).items()),
        f"{record.qat.val_accuracy:.4f}" if record.qat else _NONE,
        record.status,
        record.created.astimezone().strftime("%Y-%m-%d %H:%M"),
        ", ".join(file.stem.removeprefix(f"{record.name}-") for file in run.exported) or _NONE,
    )


def _name(folder: Path, run: ListedRun) -> str:
    return run.record.name if run.path == folder else str(run.path.relative_to(folder))


def _metric(run: ListedRun, name: str) -> str:
    value = run.record.metrics.get(name)
    return _NONE if value is None else f"{value:.4f}"
