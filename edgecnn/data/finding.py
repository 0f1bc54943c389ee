"""Findings of a check of photos: their kinds, severities and advice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""An error spoils training or the accuracy that is measured; a warning may do so; a note is good to know."""

Kind = Literal[
    "unreadable",
    "truncated",
    "untrainable",
    "duplicate_across_splits",
    "duplicate_label_conflict",
    "near_duplicate_across_splits",
    "near_duplicate_label_conflict",
    "duplicate",
    "near_duplicate",
    "passed_over",
    "wrong_extension",
    "missing_class",
    "few_photos",
    "imbalance",
    "tiny",
    "extreme_aspect",
]
"""Identifier of a kind of defect, as `edgecnn data check --json` prints it."""


class _Meaning(NamedTuple):
    severity: Severity
    advice: str


MEANINGS: dict[Kind, _Meaning] = {
    "unreadable": _Meaning("error", "remove or replace them; training skips them"),
    "truncated": _Meaning("error", "copy or download them again: the end of each file is missing"),
    "untrainable": _Meaning("error", "add photos, or remove the class folder"),
    "duplicate_across_splits": _Meaning("error", "keep each in one split: do not measure on a training photo"),
    "duplicate_label_conflict": _Meaning("error", "keep each in the one class that it shows"),
    "near_duplicate_across_splits": _Meaning("error", "look at them; keep each group in one split"),
    "near_duplicate_label_conflict": _Meaning("warning", "look at them; one of the labels may be wrong"),
    "duplicate": _Meaning("warning", "keep one of each: a copy teaches nothing new and counts twice"),
    "near_duplicate": _Meaning("warning", "look at them; keep each group in one split when you divide the photos"),
    "passed_over": _Meaning(
        "warning", "move them to a class folder, rename them to a photo's extension, or convert them to JPEG"
    ),
    "wrong_extension": _Meaning("warning", "rename them: other programs rely on the extension"),
    "missing_class": _Meaning("warning", "add photos of the class to that split: nothing is measured for it"),
    "few_photos": _Meaning("warning", "add photos of the class"),
    "imbalance": _Meaning("warning", "add photos of the rare classes, and watch recall per class, not accuracy"),
    "tiny": _Meaning("warning", "replace them, or train with a smaller input"),
    "extreme_aspect": _Meaning("warning", "crop them to the subject: a center crop keeps little of a long strip"),
}
"""Severity and advice of each kind, the most pressing first."""


class FoundPhoto(NamedTuple):
    """A file that a finding is about."""

    path: Path
    split: str | None = None
    """Split of the photo; None if it is in no split."""
    label: str | None = None
    """Class of the photo; None if it is in no class."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect of one file, of a group of copies, or of a class."""

    kind: Kind
    severity: Severity
    message: str
    photos: tuple[FoundPhoto, ...]
    """Files that the defect is about; empty for a defect of a class."""
    advice: str
    """Next step for the user."""


def make_finding(
    kind: Kind, message: str, photos: Iterable[FoundPhoto] = (), *, severity: Severity | None = None
) -> Finding:
    """Return a finding with the advice of its kind.

    Args:
        kind: Kind of the defect.
        message: One line about this defect.
        photos: Files that it is about.
        severity: Overrides the severity of the kind.

    Returns:
        The finding.
    """
    meaning = MEANINGS[kind]
    return Finding(kind, severity or meaning.severity, message, tuple(photos), meaning.advice)


def by_kind(findings: Iterable[Finding]) -> dict[Kind, list[Finding]]:
    """Group findings by kind.

    Args:
        findings: Findings in any order.

    Returns:
        The findings of each kind that occurs, the most pressing kind first.
    """
    groups: dict[Kind, list[Finding]] = {kind: [] for kind in MEANINGS}
    for finding in findings:
        groups[finding.kind].append(finding)
    return {kind: group for kind, group in groups.items() if group}
