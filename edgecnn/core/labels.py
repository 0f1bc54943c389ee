"""The class names of a classifier, in the order of its output axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecnn.core.errors import InputError


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Class names by output index. Names need not be unique: ImageNet has two kinds of "crane"."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError("expected at least one label, got none")
        for index, name in enumerate(self.names):
            if not name or name != name.strip() or "\n" in name:
                raise InputError(f"label {index} must be one non-empty line without surrounding spaces, got {name!r}")
            if not _is_encodable(name):
                raise InputError(f"label {index} must be valid UTF-8 text, got {name!r}; rename it")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, index: int) -> str:
        return self.names[index]


def labels_to_text(labels: Iterable[str]) -> str:
    """Write labels in the format of `labels.txt` in TFLite metadata.

    Args:
        labels: Class names by output index.

    Returns:
        One label per line; the last line ends with a newline too.
    """
    return "".join(f"{name}\n" for name in labels)


def labels_from_text(text: str) -> LabelMap:
    """Parse labels; the inverse of `labels_to_text`.

    Args:
        text: One label per line; blank lines at the end are ignored.

    Returns:
        The labels, without surrounding spaces.

    Raises:
        InputError: There is no label, or a blank line between two labels.
    """
    lines = text.rstrip().split("\n") if text.strip() else []
    return LabelMap(tuple(line.strip() for line in lines))


def read_labels(path: Path) -> LabelMap:
    """Read labels from a text file.

    Args:
        path: UTF-8 text file with one label per line.

    Returns:
        The labels in the order of the file.

    Raises:
        InputError: The file is missing, cannot be read or does not contain valid labels.
    """
    try:
        # Windows editors write a byte order mark before the first label.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no such labels file: {path}; expected a text file with one label per line") from None
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; expected a text file with one label per line"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text with one label per line: {error}") from None
    try:
        return labels_from_text(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _is_encodable(name: str) -> bool:
    """Return True if UTF-8 can represent `name`.

    It cannot represent the lone surrogates that Python puts into the name of a folder whose bytes are not valid UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
