"""Pictures that the model was unsure of, saved for a person to label: they are the most useful ones for training."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2

from edgecnn.core.atomic import write_bytes
from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import InputError, WriteError
from edgecnn.core.preprocess import Image
from edgecnn.runtime.decision import UNKNOWN, parse_unknown
from edgecnn.runtime.outputs.output import Want
from edgecnn.runtime.pace import Pace, pace, step_pace
from edgecnn.runtime.region import Region, crop
from edgecnn.runtime.sinks import CameraEvent, Result
from edgecnn.runtime.sources import FrameSource

JPEG_QUALITY = 95

_MAX_LABEL_BYTES = 100
_MAX_CAMERA_LENGTH = 40
_SPLITS = (TRAIN, VALIDATION, "val", TEST)
_KEPT_FRACTION = 0.9


@dataclass(frozen=True, slots=True)
class Unsure:
    """Criterion for being unsure of a picture. A picture decided to be unknown always meets it."""

    min_score: float = 0.0
    """The model is unsure if the score of its decision is lower."""
    min_margin: float = 0.0
    """The model is unsure if its lead over the second class is smaller."""


def parse_unsure(text: str) -> Unsure:
    """Parse a criterion for being unsure.

    Args:
        text: `score=MIN` or `margin=MIN`, or both separated by a comma.

    Returns:
        The criterion.

    Raises:
        InputError: If the text is malformed, a value is not from 0 to 1, or it contains an entropy.
    """
    fields = parse_unknown(text)
    if "max_entropy" in fields:
        raise InputError(
            f"expected score=MIN or margin=MIN, got {text!r}: results have no entropy; use for example score=0.6"
        )
    if not all(0 <= value <= 1 for value in fields.values()):
        raise InputError(f"expected a score and a margin from 0 to 1, got {text!r}; use for example score=0.6")
    return Unsure(fields.get("enter_score", 0.0), fields.get("min_margin", 0.0))


def is_unsure(unsure: Unsure, result: Result) -> bool:
    """Return True if the model was unsure of a picture.

    Args:
        unsure: Criterion.
        result: Result for the picture.

    Returns:
        True if the criterion is met.

    Raises:
        InputError: If the criterion has a margin and the result only one class.
    """
    top, decision = result.prediction.top, result.decision
    if unsure.min_margin > 0 and len(top) < 2:
        raise InputError(
            "a margin needs results with two classes, got one; use --top-k 2 or a score instead of a margin"
        )
    return (
        top[0].score < unsure.min_score
        or (unsure.min_margin > 0 and top[0].score - top[1].score < unsure.min_margin)
        or (decision is not None and decision.current is not None and decision.current.index == UNKNOWN)
    )


def folder_name(label: str) -> str:
    """Derive a folder name that is valid on any file system from the label of a class.

    Args:
        label: Any text.

    Returns:
        The label itself if that is a valid name. Otherwise invalid characters are replaced, and a digest of the label
        keeps different labels apart.
    """
    name = "".join(
        "_" if not character.isprintable() or character in '<>:"/\\|?*' else character for character in label
    )
    name = name.encode()[:_MAX_LABEL_BYTES].decode(errors="ignore").strip(" .")
    # A folder named like a split would turn the whole folder into a dataset with splits.
    if name == label and name and name not in _SPLITS:
        return name
    return f"{name or '_'}-{_digest(label)}"


def picture_name(result: Result, folder: str) -> str:
    """Build the file name of a picture from time, camera and score.

    Args:
        result: Result for the picture.
        folder: Name of the class folder. Its digest at the end of the file name distinguishes pictures written here
            from those that a person moved here.

    Returns:
        The file name.
    """
    at = datetime.fromtimestamp(result.frame.captured_at, UTC)
    camera = re.sub(r"[^a-z0-9]+", "-", result.frame.source.lower())[-_MAX_CAMERA_LENGTH:].strip("-") or "camera"
    return f"{at:%Y%m%dT%H%M%S.%f}Z-{camera}-{result.prediction.best.score:.2f}-{_digest(folder)}.jpg"


def is_ours(picture: Path) -> bool:
    """Return True if a picture was written by this output and is still in its original folder.

    Pictures that a person moved belong to that person.

    Args:
        picture: Path of the file.

    Returns:
        True if the digest in the file name is that of the folder.
    """
    match = re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[a-z0-9-]+-\d\.\d\d-([0-9a-f]{8})\.jpg", picture.name)
    return match is not None and match[1] == _digest(picture.parent.name)


class UncertainFrames:
    """Output that owns the pictures it has written to a folder of class folders. Created by `open_uncertain`.

    Each picture is saved to the folder of the predicted class. After the misclassified ones are moved, `edgecnn train`
    accepts the folder.
    """

    def __init__(
        self, folder: Path, unsure: Unsure, paces: Sequence[Pace], *, max_bytes: int, region: Region | None
    ) -> None:
        """Scan the folder for pictures of earlier runs; `paces` contains one entry per camera."""
        self.name = f"uncertain frames {folder}"
        self._folder = folder
        self._unsure = unsure
        self._max_bytes = max_bytes
        self._region = region
        # Only the thread of the loop uses the paces, and only the thread of the output uses the size.
        self._paces = list(paces)
        self._size_bytes = sum(size_bytes for _, size_bytes in _pictures(folder))

    def wants(self, result: Result) -> Want:
        """Return "picture" if the model is unsure and the last picture of this camera is old enough.

        Raises:
            InputError: If the criterion has a margin and the result only one class.
        """
        if not is_unsure(self._unsure, result):
            return "nothing"
        self._paces[result.camera], due = step_pace(self._paces[result.camera], result.frame.captured_ns)
        return "picture" if due else "nothing"

    def take(self, item: Result | CameraEvent) -> None:
        """Write the picture of a result, and delete the oldest ones if there is no room for it.

        Raises:
            WriteError: If the picture cannot be written, or an old one not be deleted.
        """
        if isinstance(item, Result):
            folder = folder_name(item.prediction.best.label)
            pixels = item.frame.pixels if self._region is None else crop(item.frame.pixels, self._region)
            self._write(self._folder / folder / picture_name(item, folder), _jpeg(pixels))

    def close(self) -> None:
        """Do nothing: every picture is complete already."""

    def _write(self, path: Path, jpeg: bytes) -> None:
        if len(jpeg) > self._max_bytes:
            raise WriteError(
                f"cannot write {path}: its {len(jpeg)} bytes exceed the {self._max_bytes} allowed for all pictures; "
                "allow more"
            )
        if self._size_bytes + len(jpeg) > self._max_bytes:
            self._size_bytes = _delete_oldest(self._folder, self._max_bytes - len(jpeg))
        write_bytes(path, jpeg)
        self._size_bytes += len(jpeg)


def open_uncertain(
    folder: Path,
    *,
    cameras: Sequence[FrameSource],
    unsure: str,
    max_bytes: int,
    every_s: float = 1.0,
    region: Region | None = None,
) -> UncertainFrames:
    """Prepare a folder for JPEG files of the pictures that the model is unsure of.

    Args:
        folder: Folder of class folders; created if necessary.
        cameras: Sources of the results.
        unsure: Criterion, see `parse_unsure`.
        max_bytes: Total size of the pictures. The oldest are deleted, but never files that a person created or moved.
        every_s: Minimum time between two pictures of the same live camera; every picture of a file is saved.
        region: Part of the picture to save, which is the part that the model classified; None for all of it.

    Returns:
        The output.

    Raises:
        InputError: If the criterion is malformed or the folder cannot be used.
    """
    criterion = parse_unsure(unsure)
    paces = [pace(every_s if camera.live else 0.0) for camera in cameras]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return UncertainFrames(folder, criterion, paces, max_bytes=max_bytes, region=region)
    except OSError as error:
        raise InputError(
            f"expected a folder for pictures, {folder} cannot be one: {error.strerror}; choose another"
        ) from None


def _pictures(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the pictures that belong to this output with their sizes, in arbitrary order."""
    for parent, folders, names in os.walk(folder):
        if Path(parent) != folder:
            folders.clear()
        for path in (Path(parent, name) for name in names):
            # Other programs may delete files meanwhile.
            with suppress(OSError):
                if is_ours(path):
                    yield path, path.stat().st_size


def _delete_oldest(folder: Path, max_bytes: int) -> int:
    """Delete pictures until fewer than `max_bytes` are left, and return how many bytes are.

    Some more than necessary are deleted, because listing them takes time.
    """
    pictures = sorted(_pictures(folder), key=lambda picture: picture[0].name)
    left_bytes = sum(size_bytes for _, size_bytes in pictures)
    for path, size_bytes in pictures:
        if left_bytes <= max_bytes * _KEPT_FRACTION:
            break
        _delete(path)
        left_bytes -= size_bytes
    return left_bytes


def _delete(picture: Path) -> None:
    try:
        picture.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot delete {picture} to make room: {error.strerror}; check its permissions") from None
    # Training refuses a class folder without pictures. A folder with files cannot be removed and stays.
    with suppress(OSError):
        picture.parent.rmdir()


def _jpeg(pixels: Image) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
