"""Files that are not what they seem: damaged, misnamed, or passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from edgecnn.core.dataset import Dataset, all_examples
from edgecnn.core.images import IMAGE_SUFFIXES
from edgecnn.data.finding import Finding, FoundPhoto, found
from edgecnn.data.image_format import HEAD_BYTES, SUFFIXES, image_format, is_cut


def find_unreadable(dataset: Dataset) -> tuple[Finding, ...]:
    """The files that cannot be decoded, each with the reason."""
    return tuple(_unreadable(path) for path in dataset.unreadable)


def find_passed_over(dataset: Dataset) -> tuple[Finding, ...]:
    """Photos below the folder that are in no class, by their place or by their name; hidden ones are meant to be."""
    known = {example.path for example in all_examples(dataset)} | set(dataset.unreadable)
    return tuple(_passed_over(path, name) for path, name in _other_images(dataset.root, known))


def wrong_extension(photo: FoundPhoto, format: str | None) -> Iterator[Finding]:
    """A finding, where the content is of another format than the extension says."""
    suffix = photo.path.suffix.lower()
    if format is not None and suffix not in SUFFIXES[format]:
        yield found("wrong_extension", f"{format}, though called {suffix}", [photo])


def truncated(photo: FoundPhoto, is_cut: bool) -> Iterator[Finding]:
    """A finding, where the file ends before its picture and was decoded nonetheless."""
    if is_cut:
        yield found("truncated", "the file ends before its picture does", [photo])


def _unreadable(path: Path) -> Finding:
    photo = FoundPhoto(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        return found("unreadable", f"cannot be read: {error.strerror}", [photo])
    if not content:
        return found("unreadable", "empty file", [photo])
    if is_cut(content):
        return found("truncated", "the file ends before its picture does, and cannot be decoded", [photo])
    name = image_format(content)
    return found("unreadable", f"{name} that cannot be decoded" if name else "not an image", [photo])


def _passed_over(path: Path, format: str) -> Finding:
    named = path.suffix.lower() in IMAGE_SUFFIXES
    reason = "lies in no class folder" if named else f"{format}, though not called like a photo"
    return found("passed_over", reason, [FoundPhoto(path)])


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
