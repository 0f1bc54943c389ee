"""Groups of identical photos, by the splits and labels that they are in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from edgecnn.core.dataset import Dataset
from edgecnn.data.finding import Finding, FoundPhoto, Kind, make_finding


def photos_by_content(dataset: Dataset) -> dict[str, list[FoundPhoto]]:
    """Group the photos of all splits by content.

    Args:
        dataset: A scanned folder.

    Returns:
        The photos by the SHA-256 of their file.
    """
    contents: dict[str, list[FoundPhoto]] = defaultdict(list)
    for split, examples in dataset.splits.items():
        for example in examples:
            contents[example.sha256].append(FoundPhoto(example.path, split, dataset.labels[example.label]))
    return dict(contents)


def find_duplicates(dataset: Dataset) -> tuple[Finding, ...]:
    """Find groups of photos whose files are identical to the byte.

    Args:
        dataset: A scanned folder.

    Returns:
        The findings of each group.
    """
    groups = (group for group in photos_by_content(dataset).values() if len(group) > 1)
    return tuple(finding for group in groups for finding in findings_of_group(group, near=False))


def findings_of_group(group: Iterable[FoundPhoto], *, near: bool) -> Iterator[Finding]:
    """Yield the defects of a group of copies; one that spans two splits and two labels has two defects.

    Args:
        group: Photos that are identical or look the same.
        near: The photos look the same, but their files differ.

    Yields:
        One or two findings.
    """
    photos = tuple(group)
    splits = list(dict.fromkeys(photo.split for photo in photos if photo.split))
    labels = sorted({photo.label for photo in photos if photo.label})
    alike = f"{len(photos)} photos that look the same" if near else f"{len(photos)} copies of one photo"
    if len(splits) > 1:
        kind: Kind = "near_duplicate_across_splits" if near else "duplicate_across_splits"
        yield make_finding(kind, f"{alike}, in {_listed(splits)}", photos)
    if len(labels) > 1:
        kind = "near_duplicate_label_conflict" if near else "duplicate_label_conflict"
        yield make_finding(kind, f"{alike}, labeled {_listed(labels)}", photos)
    if len(splits) <= 1 and len(labels) <= 1:
        yield make_finding("near_duplicate" if near else "duplicate", f"{alike}, labeled {_listed(labels)}", photos)


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
