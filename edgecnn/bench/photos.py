"""Which photos an evaluation measures on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgecnn.core.dataset import TEST, Dataset, Example, all_examples, scan_dataset
from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import read_run, run_of


class Photos(NamedTuple):
    """Examples, the labels that their indices count in, and the files that were passed over."""

    examples: tuple[Example, ...]
    labels: LabelMap
    unreadable: tuple[Path, ...]


def photos_to_measure(
    model: Path, data: Path | None, split: str | None, *, strict: bool = False, progress: Progress = silent
) -> Photos:
    """The photos of a split: the one asked for, else test where there is one, else all.

    `data` defaults to what the run that `model` was exported into was trained on. That folder, also when it is named,
    is divided as the run divided it, so that no training photo counts as a test photo. Raises `InputError`.
    """
    dataset = _dataset(model, data, strict, progress)
    if split is not None and split not in dataset.splits and split != "all":
        raise UnknownName("split", split, [*dataset.splits, "all"])
    chosen = split or (TEST if TEST in dataset.splits else "all")
    examples = all_examples(dataset) if chosen == "all" else dataset.splits[chosen]
    return Photos(examples, dataset.labels, dataset.unreadable)


def _dataset(model: Path, data: Path | None, strict: bool, progress: Progress) -> Dataset:
    folder = run_of(model)
    record = read_run(folder.path)[1] if folder else None
    if record and (data is None or data.resolve() == record.data):
        return dataset_of_run(record, progress, strict=strict)
    if data is None:
        raise InputError(f"{model} lies in no run folder: give DATA, a folder of class folders with photos")
    return scan_dataset(data, strict=strict, progress=lambda done, total: progress("reading photos", done, total))
