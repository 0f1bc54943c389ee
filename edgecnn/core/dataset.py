"""Folders of labeled photos: DATA has a folder for each class, or train/, validation/ (or val/) and test/ of them."""

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
    sha256: str
    """Hex digest of the file's content."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photos by split. `unreadable` are files that look like photos and cannot be decoded; they are in no split."""

    root: Path
    labels: LabelMap
    splits: dict[str, tuple[Example, ...]]
    unreadable: tuple[Path, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(examples) for name, examples in self.splits.items()}

    def class_counts(self, split: str) -> dict[str, int]:
        """Photos of each class in a split, in label order."""
        tally = Counter(example.label for example in self.splits[split])
        return {name: tally[index] for index, name in enumerate(self.labels)}

    @property
    def fingerprint(self) -> str:
        """Hex digest of every photo's content, class and split, whatever the files are called."""
        lines = sorted(
            f"{split}/{self.labels[example.label]}/{example.sha256}"
            for split, examples in self.splits.items()
            for example in examples
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_example(example: Example) -> Image:
    """The same for a photo of a data set, which has to be the one that was found. Raises `DataError`."""
    content = read_content(example.path)
    if hashlib.sha256(content).hexdigest() != example.sha256:
        raise DataError(f"{example.path} is not the photo that it was a moment ago; leave the photos alone, try again")
    return decode_content(content, example.path)


def scan_dataset(
    root: Path,
    *,
    labels: LabelMap | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Finds every photo below `root` that can be decoded, in a stable order; hidden files and folders are passed over.

    `labels`, where given, are the classes expected, in that order; a class folder outside them is an error. Without
    them the classes are the folders' names, sorted. Unreadable photos are left out and listed, or refused where
    `strict`. `progress(done, total)` is called for every file. Raises `DataError`, or `InputError` for a folder whose
    name cannot be a label.
    """
    if not root.is_dir():
        raise DataError(f"no such folder: {root}; expected a folder of class folders with photos in them")
    folders = _split_folders(root)
    names = labels or _class_names(root, folders)
    found = [
        (split, names.names.index(name), path)
        for split, folder in folders.items()
        for name, path in _photos(folder, names)
    ]
    if not found:
        raise DataError(f"{root} has no photos in its class folders; expected files such as {root}/<class>/photo.jpg")

    splits: dict[str, list[Example]] = {split: [] for split in folders}
    unreadable: list[Path] = []
    digests = photo_digests(root, [path for *_, path in found], progress)
    for (split, label, path), digest in zip(found, digests, strict=True):
        if digest is None:
            unreadable.append(path)
        else:
            splits[split].append(Example(path, label, digest))
    if unreadable and strict:
        raise DataError(
            f"{len(unreadable)} of {len(found)} photos cannot be decoded, the first is {unreadable[0]}; "
            "remove or replace them"
        )
    return Dataset(root, names, {split: tuple(examples) for split, examples in splits.items()}, tuple(unreadable))


def require_trainable(dataset: Dataset) -> None:
    """Raises `DataError` unless there are two classes at least and every one has two photos to train with."""
    if len(dataset.labels) < 2:
        raise DataError(f"{dataset.root} has one class, {dataset.labels[0]!r}; a classifier needs two at least")
    for name, count in dataset.class_counts(TRAIN).items():
        if count < 2:
            raise DataError(
                f"class {name!r} has {count} readable photos to train with in {dataset.root}; "
                "add some, or remove the folder"
            )


def split_off(
    examples: Sequence[Example], fraction: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Divides examples in two, stratified by class: the rest, and about `fraction` of every class (one at least).

    Who goes where depends on the seed and on each photo's content alone, not on names or order; copies of one photo in
    a class stay on one side. A class never goes over whole.
    """
    by_class: dict[int, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        by_class[example.label][example.sha256].append(example)
    kept: list[Example] = []
    taken: list[Example] = []
    for _, contents in sorted(by_class.items()):
        order = sorted(contents, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        wanted = min(len(order) - 1, max(1, round(fraction * len(order))))
        for position, digest in enumerate(order):
            (taken if position < wanted else kept).extend(contents[digest])
    return tuple(sorted(kept)), tuple(sorted(taken))


def with_all_splits(dataset: Dataset, *, validation_fraction: float, test_fraction: float, seed: int) -> Dataset:
    """Makes the splits that the folder lacks out of its training photos.

    A test split is made only of an undivided folder: who divided the photos already knows where the test photos are.
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
    """Every example of a dataset, split by split."""
    return tuple(example for examples in dataset.splits.values() for example in examples)


def _split_folders(root: Path) -> dict[str, Path]:
    """Split name to folder; a folder of class folders is one `train` split."""
    children = _subfolders(root)
    named = {child.name: child for child in children if child.name in _SPLIT_FOLDERS}
    if TRAIN not in named:
        if children and len(named) == len(children):
            raise DataError(
                f"{root} has {', '.join(named)}/ and no train/; add it, or give the folder of class folders"
            )
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
