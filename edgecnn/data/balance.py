"""How many photos each class has, and whether that is enough."""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.core.dataset import TRAIN, Dataset, require_trainable
from edgecnn.core.errors import DataError
from edgecnn.data.finding import Finding, found

FEW_PHOTOS = 20
"""A class with fewer photos to train with is told of."""
UNEVEN, IMBALANCED = 2.0, 10.0
"""Photos of the largest class to one of the smallest: from when on a note, and from when on a warning.

The ratio is that of Buda, Maki and Mazurowski, "A systematic study of the class imbalance problem in convolutional
neural networks" (2018), which found accuracy to suffer from about 10 on.
"""


def find_imbalance(dataset: Dataset) -> tuple[Finding, ...]:
    """Classes that cannot be trained or measured, that have few photos, or far fewer than others."""
    return (*_untrainable(dataset), *_missing(dataset), *_few(dataset), *_uneven(dataset))


def _untrainable(dataset: Dataset) -> Iterator[Finding]:
    try:
        require_trainable(dataset)
    except DataError as error:
        yield found("untrainable", str(error))


def _missing(dataset: Dataset) -> Iterator[Finding]:
    for split in dataset.splits:
        for name, count in dataset.class_counts(split).items():
            if split != TRAIN and count == 0:
                yield found("missing_class", f"class {name!r} has no photos in {split}")


def _few(dataset: Dataset) -> Iterator[Finding]:
    for name, count in dataset.class_counts(TRAIN).items():
        if 2 <= count < FEW_PHOTOS:
            yield found("few_photos", f"class {name!r} has {count} photos to train with, fewer than {FEW_PHOTOS}")


def _uneven(dataset: Dataset) -> Iterator[Finding]:
    counts = dataset.class_counts(TRAIN)
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[least] == 0 or counts[most] < UNEVEN * counts[least]:
        return
    ratio = counts[most] / counts[least]
    share = counts[most] / sum(counts.values())
    yield found(
        "imbalance",
        f"{counts[most]} photos of {most!r} to {counts[least]} of {least!r}, {ratio:.1f} to 1; "
        f"who always says {most!r} is right in {share:.0%}",
        severity="warning" if ratio >= IMBALANCED else "note",
    )
