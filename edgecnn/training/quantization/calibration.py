"""Choice of the images that set the quantization ranges."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.dataset import Example
from edgecnn.core.errors import DataError
from edgecnn.core.images import IMAGE_SUFFIXES, read_image
from edgecnn.core.model_file.card import CalibrationRecord
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess


class Calibration(NamedTuple):
    """Calibration images and their entry in the model card."""

    images: tuple[Image, ...]
    """Preprocessed images, uint8 `[height, width, channels]`."""
    record: CalibrationRecord
    """Number of images, seed, and a fingerprint of the photos' content."""


def calibrate_with(examples: Sequence[Example], spec: PreprocessSpec, count: int, seed: int) -> Calibration:
    """Choose photos for calibration, alternating between the classes, and preprocess them.

    The choice depends only on the content of the photos and on the seed.

    Args:
        examples: Training photos.
        spec: Preprocessing of the network.
        count: Number of photos to choose; if there are fewer, all are chosen.
        seed: Seed of the choice.

    Returns:
        The preprocessed photos.
    """
    by_class: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda example: _rank(example.sha256, seed)):
        by_class.setdefault(example.label, []).append(example)
    turns = zip_longest(*(by_class[label] for label in sorted(by_class)))
    chosen = [example for turn in turns for example in turn if example is not None][:count]
    return _prepare([(example.path, example.sha256) for example in chosen], spec, seed)


def calibrate_with_folder(folder: Path, spec: PreprocessSpec, count: int, seed: int) -> Calibration:
    """Choose images from a folder and its subfolders, and preprocess them.

    The choice depends only on the content of the images and on the seed.

    Args:
        folder: Folder with .jpg or .png files. Hidden files and folders are skipped.
        spec: Preprocessing of the network.
        count: Number of images to choose; if there are fewer, all are chosen.
        seed: Seed of the choice.

    Returns:
        The preprocessed images.

    Raises:
        DataError: The folder is missing or contains no images, or an image cannot be decoded.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}; expected a folder with images to calibrate with")
    hashed = [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in _photos(folder)]
    if not hashed:
        raise DataError(
            f"{folder} has no images to calibrate with; expected .jpg or .png files in it or in its subfolders"
        )
    return _prepare(sorted(hashed, key=lambda photo: _rank(photo[1], seed))[:count], spec, seed)


def _photos(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
            yield path


def _rank(content: str, seed: int) -> str:
    return hashlib.sha256(f"calibration:{seed}:{content}".encode()).hexdigest()


def _prepare(chosen: Sequence[tuple[Path, str]], spec: PreprocessSpec, seed: int) -> Calibration:
    images = tuple(preprocess(read_image(path), spec) for path, _ in chosen)
    fingerprint = hashlib.sha256("\n".join(sorted(content for _, content in chosen)).encode()).hexdigest()
    return Calibration(images, CalibrationRecord(fingerprint=fingerprint, count=len(images), seed=seed))
