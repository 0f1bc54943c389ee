"""The photos that an evaluation measures on."""

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
    """Labeled photos and the labels that they index."""

    examples: tuple[Example, ...]
    labels: LabelMap
    unreadable: tuple[Path, ...]
    """Files that were skipped."""


def photos_to_measure(
    model: Path, data: Path | None, split: str | None, *, strict: bool = False, progress: Progress = silent
) -> Photos:
    """Find the photos to evaluate a model on.

    Args:
        model: A model file. If it is in a run folder, the folder of photos that the run was trained on is split in the
            same way as for the run, even if it is named by `data`, so that no training photo counts as a test photo.
        data: A folder of class folders; the data of the run by default.
        split: `train`, `validation`, `test` or `all`. The default is `test` if the data has a test split, else `all`.
        strict: Refuse unreadable photos instead of skipping them.
        progress: Called as photos are read.

    Returns:
        The photos of the split.

    Raises:
        InputError: If there is no data, the split is unknown or the photos cannot be used.
    """
    dataset = _dataset(model, data, progress, strict=strict)
    if split is not None and split not in dataset.splits and split != "all":
        raise UnknownName("split", split, [*dataset.splits, "all"])
    chosen = split or (TEST if TEST in dataset.splits else "all")
    examples = all_examples(dataset) if chosen == "all" else dataset.splits[chosen]
    return Photos(examples, dataset.labels, dataset.unreadable)


def _dataset(model: Path, data: Path | None, progress: Progress, *, strict: bool) -> Dataset:
    folder = run_of(model)
    record = read_run(folder.path)[1] if folder else None
    if record and (data is None or data.resolve() == record.data):
        return dataset_of_run(record, progress, strict=strict)
    if data is None:
        raise InputError(f"{model} is not in a run folder: give DATA, a folder of class folders with photos")
    return scan_dataset(data, strict=strict, progress=lambda done, total: progress("reading photos", done, total))
