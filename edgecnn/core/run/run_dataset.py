"""The photos that a run was trained on, found again."""

from __future__ import annotations

from edgecnn.core.dataset import Dataset, scan_dataset, with_all_splits
from edgecnn.core.errors import DataError
from edgecnn.core.labels import LabelMap
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_folder import RunRecord


def dataset_of_run(record: RunRecord, progress: Progress = silent, *, strict: bool = False) -> Dataset:
    """The run's photos in the run's splits. Raises `DataError` if they are gone or not the same any more."""
    dataset = with_all_splits(
        scan_dataset(
            record.data,
            labels=LabelMap(record.labels),
            strict=strict,
            progress=lambda done, total: progress("reading photos", done, total),
        ),
        validation_fraction=record.settings.validation_fraction,
        test_fraction=record.settings.test_fraction,
        seed=record.settings.seed,
    )
    if dataset.fingerprint != record.dataset.fingerprint:
        raise DataError(
            f"the photos in {record.data} are not those that {record.name} was trained on: "
            f"{_count(record.dataset.counts)} then, {_count(dataset.counts)} or others now; train again or restore them"
        )
    return dataset


def _count(counts: dict[str, int]) -> int:
    return sum(counts.values())
