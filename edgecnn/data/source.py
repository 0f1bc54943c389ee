"""A data set in some other form, ready to be written as a folder of photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap

_SPLITS = {"train": TRAIN, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION, "test": TEST}


class Photo(NamedTuple):
    """An image file to be: `content` is encoded already, and `name` is unique in its split and class."""

    split: str
    label: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """A data set and where it comes from."""

    name: str
    origin: str
    """The name of the file, or of the data set where it is published."""
    sha256: str | None
    """Hex digest of that file."""
    license: str | None
    """None where it is not known."""
    citation: str | None
    count: int
    photos: Callable[[], Iterator[Photo]]


def split_named(name: str, where: str) -> str:
    """`train`, `validation` or `test` for the names that are in use for them. Raises `UnknownName`."""
    if name.lower() not in _SPLITS:
        raise UnknownName(f"split in {where}", name, _SPLITS)
    return _SPLITS[name.lower()]


def class_folders(labels: Iterable[str], where: str) -> dict[str, str]:
    """The folder of each label; a slash becomes a dash. Raises `InputError` for what no folder can be called by."""
    folders: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        folder = label.replace("/", "-").replace("\\", "-")
        if not folder or folder != folder.strip() or folder.startswith(".") or not folder.isprintable():
            raise InputError(f"{where}: expected a label that a folder can be called by, got {label!r}; rename it")
        if folder in folders.values():
            raise InputError(f"{where}: two labels would share the folder {folder!r}; rename one")
        folders[label] = folder
    return folders


def number_names(names: LabelMap | None, numbers: set[int], where: str) -> dict[int, str]:
    """What the classes 0, 1, 2 ... are called: by `names`, or else by their numbers, which sort as numbers do.

    Raises `InputError` where a class has no name.
    """
    highest = max(numbers)
    if min(numbers) < 0:
        raise InputError(f"{where}: expected classes as numbers from 0, got {min(numbers)}")
    if names is None:
        digits = len(str(highest))
        return {number: f"{number:0{digits}}" for number in numbers}
    if highest >= len(names):
        raise InputError(f"{where} has a class {highest}, and there are names for 0 to {len(names) - 1}; name them all")
    folders = class_folders(names, where)
    return {number: folders[names[number]] for number in numbers}
