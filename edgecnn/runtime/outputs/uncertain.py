"""Pictures that the model was unsure of, kept for a person to label: the ones worth training with."""

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

_LONGEST_LABEL_BYTES = 100
_LONGEST_SLUG = 40
_SPLITS = (TRAIN, VALIDATION, "val", TEST)
_KEPT_WHEN_FULL = 0.9


@dataclass(frozen=True, slots=True)
class Unsure:
    """When a model is unsure of a picture; also whenever it was decided that it shows nothing known."""

    min_score: float = 0.0
    """What is decided on scores less."""
    min_margin: float = 0.0
    """It is less ahead of the second."""


def parse_unsure(text: str) -> Unsure:
    """Reads `score=MIN` or `margin=MIN`, or both with "," between. Raises `InputError`."""
    fields = parse_unknown(text)
    if "max_entropy" in fields:
        raise InputError(f"expected unsure by score or margin, got {text!r}: a result has no entropy; use score=0.6")
    if not all(0 <= value <= 1 for value in fields.values()):
        raise InputError(f"expected unsure by score and margin of 0 to 1, got {text!r}; use such as score=0.6")
    return Unsure(fields.get("enter_score", 0.0), fields.get("min_margin", 0.0))


def is_unsure(unsure: Unsure, result: Result) -> bool:
    """Whether the model was unsure of a picture. Raises `InputError` for a margin where there is no second class."""
    top, decision = result.prediction.top, result.decision
    if unsure.min_margin > 0 and len(top) < 2:
        raise InputError("expected results with two classes for a margin, got one; give --top-k 2 or unsure by score")
    return (
        top[0].score < unsure.min_score
        or (unsure.min_margin > 0 and top[0].score - top[1].score < unsure.min_margin)
        or (decision is not None and decision.current is not None and decision.current.index == UNKNOWN)
    )


def folder_name(label: str) -> str:
    """A name for the folder of a class, on any file system: the label itself where that will do.

    Otherwise what cannot be in a name is replaced, and a digest of the label keeps different labels apart.
    """
    name = "".join("_" if not each.isprintable() or each in '<>:"/\\|?*' else each for each in label)
    name = name.encode()[:_LONGEST_LABEL_BYTES].decode(errors="ignore").strip(" .")
    # A folder that is called like a split would make a divided dataset of the others.
    if name == label and name and name not in _SPLITS:
        return name
    return f"{name or '_'}-{_digest(label)}"


def picture_name(result: Result, folder: str) -> str:
    """Time, camera and score; the digest at the end tells our pictures in `folder` from those that a person moved."""
    at = datetime.fromtimestamp(result.frame.captured_at, UTC)
    camera = re.sub(r"[^a-z0-9]+", "-", result.frame.source.lower())[-_LONGEST_SLUG:].strip("-") or "camera"
    return f"{at:%Y%m%dT%H%M%S.%f}Z-{camera}-{result.prediction.best.score:.2f}-{_digest(folder)}.jpg"


def is_ours(picture: Path) -> bool:
    """Whether it was written here, and is in the folder it was written to: what a person has moved is the person's."""
    found = re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[a-z0-9-]+-\d\.\d\d-([0-9a-f]{8})\.jpg", picture.name)
    return found is not None and found[1] == _digest(picture.parent.name)


class UncertainFrames:
    """An output that owns the pictures of its making in a folder of class folders. Made by `open_uncertain`.

    They go to the class that the model took them for. Once wrong ones are moved, `edgecnn train` takes the folder.
    """

    def __init__(
        self, folder: Path, unsure: Unsure, paces: Sequence[Pace], *, max_bytes: int, region: Region | None
    ) -> None:
        """`paces` has one for each camera of the run."""
        self.name = f"uncertain frames {folder}"
        self._folder = folder
        self._unsure = unsure
        self._max_bytes = max_bytes
        self._region = region
        # The loop's thread alone uses these two, the output's the size.
        self._paces = list(paces)
        self._size_bytes = sum(size_bytes for _, size_bytes in _pictures(folder))

    def wants(self, result: Result) -> Want:
        """A picture that the model is unsure of, if the last one of its camera is old enough. Raises `InputError`."""
        if not is_unsure(self._unsure, result):
            return "nothing"
        self._paces[result.camera], due = step_pace(self._paces[result.camera], result.frame.captured_ns)
        return "picture" if due else "nothing"

    def take(self, item: Result | CameraEvent) -> None:
        """Writes the picture of a result, and deletes old ones where there is no room for it. Raises `WriteError`."""
        if isinstance(item, Result):
            folder = folder_name(item.prediction.best.label)
            pixels = item.frame.pixels if self._region is None else crop(item.frame.pixels, self._region)
            self._write(self._folder / folder / picture_name(item, folder), _jpeg(pixels))

    def close(self) -> None:
        """Every picture is complete already."""

    def _write(self, path: Path, jpeg: bytes) -> None:
        if len(jpeg) > self._max_bytes:
            raise WriteError(
                f"cannot write {path}: its {len(jpeg)} bytes are more than the {self._max_bytes} allowed for all; "
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
    """Will keep pictures that the model is `unsure` of (see `parse_unsure`) as JPEG files in `folder`.

    One of a live camera in `every_s` seconds, of files every one, `max_bytes` in all: the oldest make way, never what
    others put there or moved. Of the picture the `region` is kept, which is what the model looked at. Raises
    `InputError`.
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
    """Our pictures with their sizes, in no order."""
    for parent, folders, names in os.walk(folder):
        if Path(parent) != folder:
            folders.clear()
        for path in (Path(parent, name) for name in names):
            # Others may delete while we look.
            with suppress(OSError):
                if is_ours(path):
                    yield path, path.stat().st_size


def _delete_oldest(folder: Path, most_bytes: int) -> int:
    """Deletes until `most_bytes` are left, and some more, as finding them takes time; returns what is left."""
    pictures = sorted(_pictures(folder), key=lambda picture: picture[0].name)
    left_bytes = sum(size_bytes for _, size_bytes in pictures)
    for path, size_bytes in pictures:
        if left_bytes <= most_bytes * _KEPT_WHEN_FULL:
            break
        _delete(path)
        left_bytes -= size_bytes
    return left_bytes


def _delete(picture: Path) -> None:
    try:
        picture.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"cannot delete {picture} to make room: {error.strerror}; check that it is yours") from None
    # A class folder without pictures would stop a training; one with any stays.
    with suppress(OSError):
        picture.parent.rmdir()


def _jpeg(pixels: Image) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)[1].tobytes()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
