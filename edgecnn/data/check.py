"""All checks of a folder of photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.core.dataset import Dataset, scan_dataset
from edgecnn.core.errors import GateFailed
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.processors import usable_processors
from edgecnn.core.progress import Progress, silent
from edgecnn.data.balance import find_imbalance
from edgecnn.data.duplicates import find_duplicates
from edgecnn.data.files import check_extension, check_truncation, find_passed_over, find_unreadable
from edgecnn.data.finding import Finding, FoundPhoto, Severity, by_kind
from edgecnn.data.inspect_photo import inspect_photo
from edgecnn.data.near_duplicates import find_near_duplicates
from edgecnn.data.shape import MIN_SIDE_PX, check_shape


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A folder of photos and the findings about it, the most pressing first."""

    dataset: Dataset
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Count the findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_scanned(dataset: Dataset) -> tuple[Finding, ...]:
    """Run the checks that need no photo to be decoded again.

    They find files that cannot be decoded, copies within and across splits and classes, and classes that are too small
    or uneven.

    Args:
        dataset: A scanned folder.

    Returns:
        The findings, the most pressing first.
    """
    return _in_order([*find_unreadable(dataset), *find_duplicates(dataset), *find_imbalance(dataset)])


def check_folder(root: Path, *, min_side_px: int = MIN_SIDE_PX, progress: Progress = silent) -> DataCheck:
    """Run all checks: those of `check_scanned`, and those of each photo's file, size and likeness to other photos.

    Args:
        root: Folder of class folders, or of splits of them.
        min_side_px: A photo with a shorter side, in pixels, is reported as tiny.
        progress: Called for each photo that is read, inspected and compared.

    Returns:
        The scanned folder and its findings.

    Raises:
        DataError: As `scan_dataset` raises it, or a photo became unreadable during the check.
    """
    dataset = scan_dataset(root, progress=lambda done, total: progress("reading photos", done, total))
    findings = [*check_scanned(dataset), *find_passed_over(dataset)]
    photos = [
        (FoundPhoto(example.path, split, dataset.labels[example.label]), example.sha256)
        for split, examples in dataset.splits.items()
        for example in examples
    ]
    # Threads help, since OpenCV decodes outside Python's lock.
    inspections = map_in_threads(inspect_photo, (photo.path for photo, _ in photos), usable_processors())
    likenesses = {}
    for done, ((photo, digest), inspection) in enumerate(zip(photos, inspections, strict=True), start=1):
        likenesses[digest] = inspection.likeness
        findings += check_truncation(photo, inspection.is_truncated)
        findings += check_extension(photo, inspection.format)
        findings += check_shape(photo, inspection.height, inspection.width, min_side_px=min_side_px)
        progress("inspecting photos", done, len(photos))
    findings += find_near_duplicates(dataset, likenesses, progress)
    return DataCheck(dataset, _in_order(findings))


def check_record(check: DataCheck) -> dict[str, Any]:
    """Return the JSON object that `edgecnn data check --json` prints.

    Args:
        check: Result of `check_folder`.

    Returns:
        The folder, its photo counts, the number of findings by severity, and the findings.
    """
    dataset = check.dataset
    return {
        "data": str(dataset.root),
        "photos": {split: dataset.class_counts(split) for split in dataset.splits},
        "errors": check.count("error"),
        "warnings": check.count("warning"),
        "notes": check.count("note"),
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "message": finding.message,
                "photos": [{**photo._asdict(), "path": str(photo.path)} for photo in finding.photos],
                "advice": finding.advice,
            }
            for finding in check.findings
        ],
    }


def enforce(check: DataCheck) -> None:
    """Fail if a check found errors; warnings and notes pass.

    Args:
        check: Result of `check_folder`.

    Raises:
        GateFailed: At least one finding is an error.
    """
    errors = Counter(finding.kind for finding in check.findings if finding.severity == "error")
    if errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in errors.items())
        raise GateFailed(f"{check.dataset.root} has errors: {kinds}; fix them, or check without --strict")


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for group in by_kind(findings).values() for finding in group)
