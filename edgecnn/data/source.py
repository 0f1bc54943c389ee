"""A data set in another form, ready to be written as a folder of photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap

_SPLITS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "test": TEST}


class Photo(NamedTuple):
    """An image file to write."""

    split: str
    label: str
    name: str
    """File name, unique in its split and class."""
    content: bytes
    """The encoded image."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set and its origin."""

    name: str
    origin: str
    """Name of the file, or of the published data set."""
    sha256: str | None
    """Hex digest of that file; None for a published data set."""
    license: str | None
    """Terms of use; None if they are unknown."""
    citation: str | None
    count: int
    """Number of photos."""
    photos: Callable[[], Iterator[Photo]]
    """Reads the photos, from the first one on every call."""


def parse_split(name: str, where: str) -> str:
    """Return the split that a common name stands for.

    Args:
        name: A name such as `val`, in any case.
        where: Origin of the name, for the error message.

    Returns:
        `train`, `validation` or `test`.

    Raises:
        UnknownName: No split has this name.
    """
    if name.lower() not in _SPLITS:
        raise UnknownName(f"split in {where}", name, _SPLITS)
    return _SPLITS[name.lower()]


def class_folders(labels: Iterable[str], where: str) -> dict[str, str]:
    """Return the name of the class folder of each label; a slash becomes a dash.

    Args:
        labels: Labels, in which duplicates are ignored.
        where: Origin of the labels, for the error message.

    Returns:
        The folder name by label.

    Raises:
        InputError: A label is not a valid folder name, or two labels would share a folder.
    """
    folders: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        folder = label.replace("/", "-").replace("\\", "-")
        if not folder or folder != folder.strip() or folder.startswith(".") or not folder.isprintable():
            raise InputError(f"{where}: expected a label that is a valid folder name, got {label!r}; rename it")
        if folder in folders.values():
            raise InputError(f"{where}: two labels would share the folder {folder!r}; rename one")
        folders[label] = folder
    return folders


def name_classes(numbers: set[int], names: LabelMap | None, where: str) -> dict[int, str]:
    """Return the class folder of each class number.

    Args:
        numbers: Class numbers that occur, at least one.
        names: Names of the classes 0, 1, 2 ...; if None, the classes are named by their numbers, padded with zeros so
            that they sort as numbers do.
        where: Origin of the numbers, for the error message.

    Returns:
        The folder name by class number.

    Raises:
        InputError: A number is negative or has no name.
    """
    highest = max(numbers)
    if min(numbers) < 0:
        raise InputError(f"{where}: expected classes as numbers from 0, got {min(numbers)}")
    if names is None:
        digits = len(str(highest))
        return {number: f"{number:0{digits}}" for number in numbers}
    if highest >= len(names):
        raise InputError(f"{where} contains class {highest}, but the names end at {len(names) - 1}; name all classes")
    folders = class_folders(names, where)
    return {number: folders[names[number]] for number in numbers}
