"""Checks of image files: unreadable, truncated, misnamed, or passed over by training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgecnn.core.dataset import Dataset, all_examples
from edgecnn.core.images import IMAGE_SUFFIXES
from edgecnn.data.finding import Finding, FoundPhoto, make_finding
from edgecnn.data.image_format import HEAD_BYTES, SUFFIXES, image_format, is_truncated


def find_unreadable(dataset: Dataset) -> tuple[Finding, ...]:
    """Find the files that cannot be decoded, each with the reason.

    Args:
        dataset: A scanned folder.

    Returns:
        One finding per file.
    """
    return tuple(_unreadable(path) for path in dataset.unreadable)


def find_passed_over(dataset: Dataset) -> tuple[Finding, ...]:
    """Find photos below the folder that belong to no class because of their folder or their name.

    Hidden files are skipped: they are hidden on purpose.

    Args:
        dataset: A scanned folder.

    Returns:
        One finding per file.
    """
    known = {example.path for example in all_examples(dataset)} | set(dataset.unreadable)
    return tuple(_passed_over(path, name) for path, name in _other_images(dataset.root, known))


def check_extension(photo: FoundPhoto, format: str | None) -> Iterator[Finding]:
    """Yield a finding if the content has another format than the extension says.

    Args:
        photo: Photo to check.
        format: Format of its content, a key of `SUFFIXES`; None if unknown.

    Yields:
        At most one finding.
    """
    suffix = photo.path.suffix.lower()
    if format is not None and suffix not in SUFFIXES[format]:
        yield make_finding("wrong_extension", f"contains {format}, but its extension is {suffix}", [photo])


def check_truncation(photo: FoundPhoto, is_truncated: bool) -> Iterator[Finding]:
    """Yield a finding if a file is truncated, although it was decoded.

    Args:
        photo: Photo to check.
        is_truncated: The file ends before its picture does.

    Yields:
        At most one finding.
    """
    if is_truncated:
        yield make_finding("truncated", "the file ends before its picture does", [photo])


def _unreadable(path: Path) -> Finding:
    photo = FoundPhoto(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        return make_finding("unreadable", f"cannot be read: {error.strerror}", [photo])
    if not content:
        return make_finding("unreadable", "empty file", [photo])
    if is_truncated(content):
        return make_finding("truncated", "the file ends before its picture does, and cannot be decoded", [photo])
    name = image_format(content)
    return make_finding("unreadable", f"{name} that cannot be decoded" if name else "not an image", [photo])


def _passed_over(path: Path, format: str) -> Finding:
    has_suffix = path.suffix.lower() in IMAGE_SUFFIXES
    reason = "not in a class folder" if has_suffix else f"contains {format}, but training does not read its extension"
    return make_finding("passed_over", reason, [FoundPhoto(path)])


def _other_images(root: Path, known: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    known = set(known)
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or path in known or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                name = image_format(file.read(HEAD_BYTES))
        except OSError:
            continue
        if name is not None:
            yield path, name
