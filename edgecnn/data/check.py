"""All checks of a folder of photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.core.dataset import Dataset, scan_dataset
from edgecnn.core.errors import GateFailed
from edgecnn.core.progress import Progress, silent
from edgecnn.data.balance import find_imbalance
from edgecnn.data.duplicates import find_duplicates
from edgecnn.data.files import find_passed_over, find_unreadable, truncated, wrong_extension
from edgecnn.data.finding import Finding, FoundPhoto, Severity, by_kind
from edgecnn.data.inspect_photo import Look, look_at
from edgecnn.data.near_duplicates import find_near_duplicates
from edgecnn.data.shape import MIN_SIDE_PX, unusual_shape


@dataclass(frozen=True, slots=True)
class DataCheck:
    """A folder of photos and what was found in it, the most pressing first."""

    dataset: Dataset
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_scanned(dataset: Dataset) -> tuple[Finding, ...]:
    """What a scanned folder tells by itself, without a look at the photos: files that cannot be decoded, copies within
    and across splits and classes, classes too small or uneven."""
    return _in_order([*find_unreadable(dataset), *find_duplicates(dataset), *find_imbalance(dataset)])


def check_folder(root: Path, *, min_side_px: int = MIN_SIDE_PX, progress: Progress = silent) -> DataCheck:
    """Everything: what `check_scanned` finds, and what each photo's file, size and likeness to others tell.

    Raises what `scan_dataset` does.
    """
    dataset = scan_dataset(root, progress=lambda done, total: progress("reading photos", done, total))
    findings = [*check_scanned(dataset), *find_passed_over(dataset)]
    likenesses = {}
    photos = [
        (FoundPhoto(example.path, split, dataset.labels[example.label]), example.sha256)
        for split, examples in dataset.splits.items()
        for example in examples
    ]
    looks = _looks([photo.path for photo, _ in photos], progress)
    for (photo, digest), look in zip(photos, looks, strict=True):
        likenesses[digest] = look.likeness
        findings += truncated(photo, look.is_cut)
        findings += wrong_extension(photo, look.format)
        findings += unusual_shape(photo, look.height, look.width, min_side_px=min_side_px)
    findings += find_near_duplicates(dataset, likenesses, progress)
    return DataCheck(dataset, _in_order(findings))


def check_record(check: DataCheck) -> dict[str, Any]:
    """The JSON object that `edgecnn data check --json` prints."""
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
    """Raises `GateFailed` where something is wrong; warnings and notes pass."""
    errors = Counter(finding.kind for finding in check.findings if finding.severity == "error")
    if errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in errors.items())
        raise GateFailed(f"{check.dataset.root} has errors: {kinds}; mend them, or check without --strict")


def _looks(paths: Sequence[Path], progress: Progress) -> Iterator[Look]:
    """A look at every photo, in order; threads help, since OpenCV decodes outside the interpreter's lock."""
    pool = ThreadPoolExecutor()
    try:
        for done, look in enumerate(pool.map(look_at, paths), start=1):
            yield look
            progress("looking at photos", done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for group in by_kind(findings).values() for finding in group)
