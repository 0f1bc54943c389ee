"""Groups of photos that look the same although their files differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from edgecnn.core.dataset import Dataset
from edgecnn.core.progress import Progress, silent
from edgecnn.data.duplicates import findings_of_group, photos_by_content
from edgecnn.data.finding import Finding
from edgecnn.data.similarity import Likeness, similar_pairs


def find_near_duplicates(
    dataset: Dataset, likenesses: Mapping[str, Likeness], progress: Progress = silent
) -> tuple[Finding, ...]:
    """Find groups of photos that look the same.

    Copies of a file are listed in its group, but do not form a group alone: they are exact duplicates.

    Args:
        dataset: A scanned folder.
        likenesses: Likeness of every content in it, by the SHA-256 of the file.
        progress: Called as photos are compared.

    Returns:
        The findings of each group.
    """
    contents = photos_by_content(dataset)
    digests = list(contents)
    pairs = similar_pairs([likenesses[digest] for digest in digests], progress)
    groups = [
        [photo for index in group for photo in contents[digests[index]]]
        for group in connected_groups((int(first), int(second)) for first, second in pairs)
    ]
    return tuple(finding for group in groups for finding in findings_of_group(group, near=True))


def connected_groups(pairs: Iterable[tuple[int, int]]) -> Sequence[tuple[int, ...]]:
    """Group the members that pairs link, directly or through other members.

    Args:
        pairs: Linked members; each is in at least one pair.

    Returns:
        The groups, each in ascending order, by their smallest member.
    """
    neighbors: dict[int, set[int]] = defaultdict(set)
    for first, second in pairs:
        neighbors[first].add(second)
        neighbors[second].add(first)
    groups: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for member in sorted(neighbors):
        if member in seen:
            continue
        group, waiting = {member}, [member]
        while waiting:
            new = neighbors[waiting.pop()] - group
            group |= new
            waiting += new
        seen |= group
        groups.append(tuple(sorted(group)))
    return groups
