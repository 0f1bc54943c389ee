"""Loading the photos that a run was trained on."""

from __future__ import annotations

from edgecnn.core.dataset import Dataset, scan_dataset, with_all_splits
from edgecnn.core.errors import DataError
from edgecnn.core.labels import LabelMap
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_folder import RunRecord


def dataset_of_run(record: RunRecord, progress: Progress = silent, *, strict: bool = False) -> Dataset:
    """Load the photos of a run in the splits of the run.

    Args:
        record: The content of `run.json`.
        progress: Called as photos are read.
        strict: Refuse unreadable photos instead of skipping them.

    Returns:
        The dataset.

    Raises:
        DataError: If the photos are missing or differ from those that the run was trained on.
    """
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
