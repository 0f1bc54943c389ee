"""Folders of labeled photos.

A data folder contains either one folder per class, or the folders `train/`, `validation/` (or `val/`) and `test/` with
one folder per class in each of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.errors import DataError
from edgecnn.core.images import IMAGE_SUFFIXES, decode_content, read_content
from edgecnn.core.labels import LabelMap
from edgecnn.core.photo_digests import photo_digests
from edgecnn.core.preprocess import Image

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_SPLIT_FOLDERS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "test": TEST}


class Example(NamedTuple):
    """A photo and the index of its class."""

    path: Path
    label: int
    """Index of the class in the label map."""
    sha256: str
    """SHA-256 of the file's content in hex."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photos by split."""

    root: Path
    """The data folder."""
    labels: LabelMap
    splits: dict[str, tuple[Example, ...]]
    """Photos by the name of the split."""
    unreadable: tuple[Path, ...] = ()
    """Files that are named like photos but cannot be decoded; they are in no split."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of photos per split."""
        return {name: len(examples) for name, examples in self.splits.items()}

    def class_counts(self, split: str) -> dict[str, int]:
        """Return the number of photos per class in a split, in label order."""
        tally = Counter(example.label for example in self.splits[split])
        return {name: tally[index] for index, name in enumerate(self.labels)}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content, class and split of every photo, in hex; the names of files do not matter."""
        lines = sorted(
            f"{split}/{self.labels[example.label]}/{example.sha256}"
            for split, examples in self.splits.items()
            for example in examples
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_example(example: Example) -> Image:
    """Read and decode a photo of a data set.

    Args:
        example: Photo as the scan found it.

    Returns:
        uint8 `[height, width, 3]` RGB, upright.

    Raises:
        DataError: The file is missing or unreadable, or its content has changed since the scan.
    """
    content = read_content(example.path)
    if hashlib.sha256(content).hexdigest() != example.sha256:
        raise DataError(f"{example.path} has changed since it was scanned; do not change the photos, and try again")
    return decode_content(content, example.path)


def scan_dataset(
    root: Path,
    *,
    labels: LabelMap | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Find every photo of a data folder, in a stable order; hidden files and folders are ignored.

    Args:
        root: Data folder.
        labels: Expected classes, in this order; a folder of another class is an error. None takes the sorted names of
            the class folders.
        strict: Raise an error if a photo cannot be decoded, instead of skipping and listing it.
        progress: Called as `progress(done, total)` for every file.

    Returns:
        The data set, with the splits that the folder has.

    Raises:
        DataError: The folder is missing, contains no photos or unexpected classes, or (`strict`) an unreadable photo.
        InputError: The name of a class folder cannot be a label.
    """
    if not root.is_dir():
        raise DataError(f"no such folder: {root}; expected a folder of class folders with photos in them")
    folders = _split_folders(root)
    names = labels or _class_names(root, folders)
    files = [
        (split, names.names.index(name), path)
        for split, folder in folders.items()
        for name, path in _photos(folder, names)
    ]
    if not files:
        raise DataError(f"{root} has no photos in its class folders; expected files such as {root}/<class>/photo.jpg")

    splits: dict[str, list[Example]] = {split: [] for split in folders}
    unreadable: list[Path] = []
    digests = photo_digests(root, [path for *_, path in files], progress)
    for (split, label, path), digest in zip(files, digests, strict=True):
        if digest is None:
            unreadable.append(path)
        else:
            splits[split].append(Example(path, label, digest))
    if unreadable and strict:
        raise DataError(
            f"{len(unreadable)} of {len(files)} photos cannot be decoded, the first is {unreadable[0]}; "
            "remove or replace them"
        )
    return Dataset(root, names, {split: tuple(examples) for split, examples in splits.items()}, tuple(unreadable))


def require_trainable(dataset: Dataset) -> None:
    """Check that a data set can be trained on.

    Args:
        dataset: Data set with a `train` split.

    Raises:
        DataError: There is only one class, or a class has fewer than two training photos.
    """
    if len(dataset.labels) < 2:
        raise DataError(f"{dataset.root} has one class, {dataset.labels[0]!r}; a classifier needs at least two")
    for name, count in dataset.class_counts(TRAIN).items():
        if count < 2:
            raise DataError(
                f"class {name!r} has {count} readable training photos in {dataset.root}; "
                "add photos, or remove the folder"
            )


def split_off(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Divide examples in two, stratified by class.

    The division depends only on the seed and on the content of the photos, not on names or order. Copies of one photo
    in a class stay together.

    Args:
        examples: Photos to divide.
        fraction: Share of the distinct photos of every class to split off, 0 to 1.
        seed: Seed of the division.

    Returns:
        The remaining photos and those that were split off, each sorted. Of every class at least one distinct photo is
        split off and at least one remains; of a class with a single distinct photo nothing is split off.
    """
    by_class: dict[int, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        by_class[example.label][example.sha256].append(example)
    kept: list[Example] = []
    taken: list[Example] = []
    for _, contents in sorted(by_class.items()):
        order = sorted(contents, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        count = min(len(order) - 1, max(1, round(fraction * len(order))))
        for position, digest in enumerate(order):
            (taken if position < count else kept).extend(contents[digest])
    return tuple(sorted(kept)), tuple(sorted(taken))


def with_all_splits(dataset: Dataset, *, validation_fraction: float, test_fraction: float, seed: int) -> Dataset:
    """Create the splits that the data folder lacks from its training photos.

    A test split is created only if the folder is undivided: whoever divided the photos has already set the test photos
    aside elsewhere.

    Args:
        dataset: Data set with a `train` split.
        validation_fraction: Share of the photos for a missing validation split.
        test_fraction: Share of the photos for the test split of an undivided folder; 0 creates none.
        seed: Seed of the division.

    Returns:
        The data set with the added splits.
    """
    splits = dict(dataset.splits)
    train = splits[TRAIN]
    if set(splits) == {TRAIN} and test_fraction > 0:
        train, splits[TEST] = split_off(train, test_fraction, seed)
    if VALIDATION not in splits:
        train, splits[VALIDATION] = split_off(train, validation_fraction, seed + 1)
    splits[TRAIN] = train
    return replace(dataset, splits=splits)


def all_examples(dataset: Dataset) -> tuple[Example, ...]:
    """Return every photo of a data set.

    Args:
        dataset: Data set.

    Returns:
        Photos, split by split.
    """
    return tuple(example for examples in dataset.splits.values() for example in examples)


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders by split; a folder of class folders is a single `train` split."""
    children = _subfolders(root)
    named = {child.name: child for child in children if child.name in _SPLIT_FOLDERS}
    if TRAIN not in named:
        if children and len(named) == len(children):
            raise DataError(f"{root} has {', '.join(named)}/ and no train/; add it, or use a folder of class folders")
        return {TRAIN: root}
    if "validation" in named and "val" in named:
        raise DataError(f"{root} has both validation/ and val/; keep one")
    return {_SPLIT_FOLDERS[name]: named[name] for name in ("train", "validation", "val", "test") if name in named}


def _class_names(root: Path, folders: dict[str, Path]) -> LabelMap:
    names = sorted({child.name for folder in folders.values() for child in _subfolders(folder)})
    if not names:
        raise DataError(f"{root} has no class folders; expected photos in {root}/<class>/")
    return LabelMap(tuple(names))


def _photos(folder: Path, labels: LabelMap) -> Iterable[tuple[str, Path]]:
    for child in _subfolders(folder):
        if child.name not in labels.names:
            expected = ", ".join(labels.names[:8]) + (", ..." if len(labels) > 8 else "")
            raise DataError(
                f"{child} is not one of the {len(labels)} expected classes: {expected}; rename or remove it"
            )
        for path in sorted(child.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(child).parts)
            if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and not path.is_dir():
                yield child.name, path


def _subfolders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
