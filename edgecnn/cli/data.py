"""The `edgecnn data` commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options.shared import Json
from edgecnn.data.csv_columns import Columns
from edgecnn.data.shape import MIN_SIDE_PX

if TYPE_CHECKING:
    from edgecnn.data.check import DataCheck
    from edgecnn.data.dataset_note import DatasetNote
    from edgecnn.data.finding import Finding

_LISTED = 5
"""Maximum number of findings per kind, and of photos per finding, that are listed without `--all`."""

app = typer.Typer(help="Check folders of photos, and import data sets as folders.", no_args_is_help=True)


@app.command()
def check(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with one folder of photos per class, or with train/, validation/ and test/ of them."
        ),
    ],
    *,
    min_side: Annotated[
        int,
        typer.Option(help="Minimum side of a photo in pixels; use the input size of the model.", min=1),
    ] = MIN_SIDE_PX,
    list_all: Annotated[
        bool, typer.Option("--all", help="List every finding instead of the first few of each kind.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Gate: exit with 3 if there is an error.")] = False,
    json: Json = False,
) -> None:
    """Find what spoils training: damaged files, duplicates within and across splits, wrong labels, imbalance."""
    from edgecnn.data.check import check_folder, check_record, enforce

    with ProgressBars() as progress:
        result = check_folder(data, min_side_px=min_side, progress=progress)
    if json:
        print_json(check_record(result))
    else:
        _print_check(result, None if list_all else _LISTED)
    if strict:
        enforce(result)


@app.command("import")
def import_data(
    source: Annotated[
        str,
        typer.Argument(help="MNIST's or MedMNIST's .npz file, a .csv file of paths and labels, or tfds:NAME."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    labels: Annotated[
        str | None,
        typer.Option(help="Names of the classes 0, 1, 2, ...: a file with one per line, or a comma-separated list."),
    ] = None,
    path_column: Annotated[
        str, typer.Option(help="Column of a .csv file that contains the paths of the photos.")
    ] = Columns._field_defaults["path"],
    label_column: Annotated[
        str, typer.Option(help="Column of a .csv file that contains the labels.")
    ] = Columns._field_defaults["label"],
    split_column: Annotated[
        str | None,
        typer.Option(help="Column that contains train, validation or test; 'split' by default, if there is one."),
    ] = None,
    license: Annotated[str | None, typer.Option(help="Terms of use, stored with the photos.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", hidden=True)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier import in --out.")] = False,
    json: Json = False,
) -> None:
    """Import a data set from arrays, a table or TensorFlow Datasets as a folder of photos."""
    from edgecnn.data.importing import import_dataset, open_source, parse_label_names

    opened = open_source(
        source,
        labels=parse_label_names(labels) if labels is not None else None,
        columns=Columns(path_column, label_column, split_column),
    )
    with ProgressBars() as progress:
        note = import_dataset(opened, out, license=license or licence, replace=force, progress=progress)
    if json:
        print_json({"out": str(out), **note.model_dump(mode="json")})
    else:
        _print_counts(out, note)
    say(f"license: {note.license or 'unknown; find out under which terms you may use these photos'}")
    say(f"{out} is ready: edgecnn data check {out}")


def _print_check(result: DataCheck, limit: int | None) -> None:
    from edgecnn.data.finding import by_kind

    kinds = by_kind(result.findings)
    counts = ", ".join(f"{count} in {split}" for split, count in result.dataset.counts.items())
    print(f"{result.dataset.root}: {len(result.dataset.labels)} classes, photos: {counts}")
    if not kinds:
        print("no findings")
        return
    rows = [(kind, group[0].severity, str(len(group)), group[0].advice) for kind, group in kinds.items()]
    print_table("findings", ("kind", "severity", "found", "what to do"), rows, texts=("severity", "what to do"))
    for group in kinds.values():
        _print_findings(group, limit)


def _print_findings(group: Sequence[Finding], limit: int | None) -> None:
    for finding in group[:limit]:
        if len(finding.photos) == 1:
            print(f"{finding.kind}: {finding.photos[0].path}: {finding.message}")
            continue
        print(f"{finding.kind}: {finding.message}")
        for photo in finding.photos[:limit]:
            print(f"  {photo.path}")
        _print_rest(finding.photos, limit, "  ")
    _print_rest(group, limit, f"{group[0].kind}: ")


def _print_rest(items: Sequence[object], limit: int | None, prefix: str) -> None:
    count = len(items) - len(items[:limit])
    if count:
        print(f"{prefix}... and {count} more; list them with --all")


def _print_counts(out: Path, note: DatasetNote) -> None:
    classes = sorted({name for counts in note.counts.values() for name in counts})
    rows = [(name, *(str(counts.get(name, 0)) for counts in note.counts.values())) for name in classes]
    print_table(f"{note.name} in {out}", ("class", *note.counts), rows)
