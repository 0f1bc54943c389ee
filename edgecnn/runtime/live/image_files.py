"""Classification of image files, one after the other and without a live loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.errors import DataError, InputError
from edgecnn.runtime.live.camera import ImageClassifier
from edgecnn.runtime.live.loop import classify_frame
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources import ImageSource, images_in


class ClassifiedFile(NamedTuple):
    """An image file and its result."""

    path: Path
    result: Result | DataError
    """The result, or the reason why the image cannot be read."""


def find_images(paths: Sequence[Path]) -> list[Path]:
    """List image files.

    Args:
        paths: Image files, which are listed as they are, and folders, which are searched for images.

    Returns:
        The files, in the order of `paths`; those of a folder are sorted.

    Raises:
        InputError: If there is no image.
    """
    found = [file for path in paths for file in (images_in(path) if path.is_dir() else [path])]
    if not found:
        raise InputError(f"no images in {paths[0]}; expected files such as {paths[0] / 'photo.jpg'}")
    return found


def classify_files(classifier: ImageClassifier, paths: Sequence[Path]) -> Iterator[ClassifiedFile]:
    """Classify image files.

    Args:
        classifier: Classifier to use.
        paths: Image files. One that cannot be read does not end the series.

    Yields:
        Every file with its result, in the order of `paths`.
    """
    for path in paths:
        try:
            with ImageSource([path], name=str(path)) as source:
                frame = source.read()
        except DataError as error:
            yield ClassifiedFile(path, error)
            continue
        if frame is not None:
            yield ClassifiedFile(path, classify_frame(classifier, frame))
