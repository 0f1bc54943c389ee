"""Checks that each class has photos, enough of them, and not far fewer than the others."""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.core.dataset import TRAIN, Dataset, require_trainable
from edgecnn.core.errors import DataError
from edgecnn.data.finding import Finding, make_finding

FEW_PHOTOS = 20
"""Warn about classes with fewer training photos than this."""
UNEVEN, IMBALANCED = 2.0, 10.0
"""Ratio of the largest class to the smallest from which there is a note, and from which there is a warning.

The ratio is that of Buda, Maki and Mazurowski, "A systematic study of the class imbalance problem in convolutional
neural networks" (2018), which found that accuracy suffers from about 10 upwards.
"""


def find_imbalance(dataset: Dataset) -> tuple[Finding, ...]:
    """Return the classes that cannot be trained or measured, have few photos, or have far fewer than others.

    Args:
        dataset: A scanned folder.

    Returns:
        One finding per class and defect, and at most one about the ratio of the classes.
    """
    return (*_untrainable(dataset), *_missing(dataset), *_few(dataset), *_uneven(dataset))


def _untrainable(dataset: Dataset) -> Iterator[Finding]:
    try:
        require_trainable(dataset)
    except DataError as error:
        yield make_finding("untrainable", str(error))


def _missing(dataset: Dataset) -> Iterator[Finding]:
    for split in dataset.splits:
        for name, count in dataset.class_counts(split).items():
            if split != TRAIN and count == 0:
                yield make_finding("missing_class", f"class {name!r} has no photos in {split}")


def _few(dataset: Dataset) -> Iterator[Finding]:
    for name, count in dataset.class_counts(TRAIN).items():
        if 2 <= count < FEW_PHOTOS:
            yield make_finding("few_photos", f"class {name!r} has {count} training photos, fewer than {FEW_PHOTOS}")


def _uneven(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.class_counts(TRAIN)
    largest, smallest = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[smallest] == 0 or counts[largest] < UNEVEN * counts[smallest]:
        return
    ratio = counts[largest] / counts[smallest]
    share = counts[largest] / sum(counts.values())
    yield make_finding(
        "imbalance",
        f"{counts[largest]} photos of {largest!r} to {counts[smallest]} of {smallest!r}, {ratio:.1f} to 1; "
        f"always answering {largest!r} would be right for {share:.0%}",
        severity="warning" if ratio >= IMBALANCED else "note",
    )
