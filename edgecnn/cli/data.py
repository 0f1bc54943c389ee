"""`edgecnn data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_table, say
from edgecnn.cli.options import Json
from edgecnn.data.csv_columns import Columns
from edgecnn.data.shape import MIN_SIDE_PX

if TYPE_CHECKING:
    from edgecnn.data.check import DataCheck
    from edgecnn.data.dataset_note import DatasetNote
    from edgecnn.data.finding import Finding

_FIRST = 5
"""How many findings of a kind, and photos of a finding, are listed unless all are wanted."""

app = typer.Typer(help="Folders of photos: what is wrong with them, and data sets made into one.", no_args_is_help=True)


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="A folder of class folders, or with train/, validation/ and test/.")],
    min_side: Annotated[
        int, typer.Option(help="Pixels below which a photo is tiny; the model's input size.", min=1)
    ] = MIN_SIDE_PX,
    all_of_it: Annotated[
        bool, typer.Option("--all", help="List every finding, not the first few of each kind.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Leave with status 3 if there is an error.")] = False,
    json: Json = False,
) -> None:
    """Find what spoils training: damaged files, copies within and across splits, wrong labels, uneven classes."""
    from edgecnn.data.check import check_folder, check_record, enforce

    with ProgressBars() as progress:
        result = check_folder(data, min_side_px=min_side, progress=progress)
    if json:
        print_json(check_record(result))
    else:
        _print_check(result, everything=all_of_it)
    if strict:
        enforce(result)


@app.command("import")
def import_data(
    source: Annotated[
        str, typer.Argument(help="MNIST's or MedMNIST's .npz, a .csv of paths and labels, or tfds:NAME.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    labels: Annotated[
        str | None, typer.Option(help="Names of the classes 0, 1, 2 ...: a file, one a line, or between commas.")
    ] = None,
    path_column: Annotated[
        str, typer.Option(help="The column of a .csv with the photos' paths.")
    ] = Columns._field_defaults["path"],
    label_column: Annotated[str, typer.Option(help="The column with their labels.")] = Columns._field_defaults["label"],
    split_column: Annotated[
        str | None, typer.Option(help="The column with train, validation or test; 'split' if there is one.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="Terms of use, stored with the photos.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", hidden=True)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what was imported to --out before.")] = False,
    json: Json = False,
) -> None:
    """Write a data set that comes as arrays, as a table or from TensorFlow Datasets as a folder of photos."""
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
    say(f"license: {note.license or 'not known; find out on what terms you may use these photos'}")
    say(f"{out} is ready: edgecnn data check {out}")


def _print_check(result: DataCheck, *, everything: bool) -> None:
    from edgecnn.data.finding import by_kind

    kinds = by_kind(result.findings)
    counts = ", ".join(f"{count} in {split}" for split, count in result.dataset.counts.items())
    print(f"{result.dataset.root}: {len(result.dataset.labels)} classes, photos: {counts}")
    if not kinds:
        print("nothing found")
        return
    rows = [(kind, group[0].severity, str(len(group)), group[0].advice) for kind, group in kinds.items()]
    print_table("findings", ("kind", "severity", "found", "what to do"), rows, texts=("severity", "what to do"))
    for group in kinds.values():
        _print_findings(group, None if everything else _FIRST)


def _print_findings(group: Sequence[Finding], limit: int | None) -> None:
    for finding in group[:limit]:
        if len(finding.photos) == 1:
            print(f"{finding.kind}: {finding.photos[0].path}: {finding.message}")
            continue
        print(f"{finding.kind}: {finding.message}")
        for photo in finding.photos[:limit]:
            print(f"  {photo.path}")
        _print_left_out(finding.photos, limit, "  ")
    _print_left_out(group, limit, f"{group[0].kind}: ")


def _print_left_out(items: Sequence[object], limit: int | None, before: str) -> None:
    count = len(items) - len(items[:limit])
    if count:
        print(f"{before}... and {count} more, --all lists them")


def _print_counts(out: Path, note: DatasetNote) -> None:
    classes = sorted({name for counts in note.counts.values() for name in counts})
    rows = [(name, *(str(counts.get(name, 0)) for counts in note.counts.values())) for name in classes]
    print_table(f"{note.name} in {out}", ("class", *note.counts), rows)
