"""Photos that show the same though their files differ, as groups."""

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
    """Groups of photos that look the same; `likenesses` has one for each content, by the hash of the file.

    Copies of a file are in its group, but do not make one: that is an exact duplicate.
    """
    contents = photos_by_content(dataset)
    digests = list(contents)
    pairs = similar_pairs([likenesses[digest] for digest in digests], progress)
    groups = [
        [photo for index in group for photo in contents[digests[index]]]
        for group in joined((int(first), int(second)) for first, second in pairs)
    ]
    return tuple(finding for group in groups for finding in findings_of_group(group, near=True))


def joined(pairs: Iterable[tuple[int, int]]) -> Sequence[tuple[int, ...]]:
    """The groups that pairs link their members to, directly or over others; members and groups in order."""
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
