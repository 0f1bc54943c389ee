"""What a check of photos found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
"""An error spoils training or its measured accuracy; a warning may; a note is good to know."""

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


class _Meaning(NamedTuple):
    severity: Severity
    advice: str


MEANINGS: dict[Kind, _Meaning] = {
    "unreadable": _Meaning("error", "remove or replace them; training leaves them out"),
    "truncated": _Meaning("error", "fetch them again: the end of each is missing"),
    "untrainable": _Meaning("error", "add photos, or remove the class folder"),
    "duplicate_across_splits": _Meaning("error", "keep each in one split: what was trained on must not measure"),
    "duplicate_label_conflict": _Meaning("error", "keep each in the one class that it shows"),
    "near_duplicate_across_splits": _Meaning("error", "look at them; keep each group in one split"),
    "near_duplicate_label_conflict": _Meaning("warning", "look at them; one of the labels may be wrong"),
    "duplicate": _Meaning("warning", "keep one of each: a copy teaches nothing and weighs twice"),
    "near_duplicate": _Meaning("warning", "look at them; keep each group in one split when you divide the photos"),
    "passed_over": _Meaning("warning", "give them a class folder, the suffix of a photo, or a format such as JPEG"),
    "wrong_extension": _Meaning("warning", "rename them: other programs go by the extension"),
    "missing_class": _Meaning("warning", "put some of the class there: nothing is measured of it"),
    "few_photos": _Meaning("warning", "add photos of the class"),
    "imbalance": _Meaning("warning", "add photos of the rare classes, and look at recall by class, not at accuracy"),
    "tiny": _Meaning("warning", "replace them, or train with a smaller input"),
    "extreme_aspect": _Meaning("warning", "crop them to the subject: of a long strip a center crop keeps little"),
}
"""How severe each kind is and what to do about it, the most pressing first."""


class FoundPhoto(NamedTuple):
    """A file that a finding is about; one that is in no split or class has None there."""

    path: Path
    split: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect: of one file, of a group of copies, or of a class."""

    kind: Kind
    severity: Severity
    message: str
    photos: tuple[FoundPhoto, ...]
    advice: str
    """What to do about it."""


def found(kind: Kind, message: str, photos: Iterable[FoundPhoto] = (), *, severity: Severity | None = None) -> Finding:
    """A finding, as severe as its kind is unless something else is said."""
    meaning = MEANINGS[kind]
    return Finding(kind, severity or meaning.severity, message, tuple(photos), meaning.advice)


def by_kind(findings: Iterable[Finding]) -> dict[Kind, list[Finding]]:
    """Findings of each kind that occurs, the most pressing kind first."""
    groups: dict[Kind, list[Finding]] = {kind: [] for kind in MEANINGS}
    for finding in findings:
        groups[finding.kind].append(finding)
    return {kind: group for kind, group in groups.items() if group}
