"""Which images set the quantization ranges."""

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
    """Prepared images, uint8 `[height, width, channels]`, and what the model card says of them."""

    images: tuple[Image, ...]
    record: CalibrationRecord


def calibrate_with(examples: Sequence[Example], spec: PreprocessSpec, count: int, seed: int) -> Calibration:
    """Prepares `count` of the examples, or all where they are fewer, taking turns among the classes.

    The choice depends on the photos' content and the seed alone.
    """
    by_class: dict[int, list[Example]] = {}
    for example in sorted(examples, key=lambda each: _rank(each.sha256, seed)):
        by_class.setdefault(example.label, []).append(example)
    turns = zip_longest(*(by_class[label] for label in sorted(by_class)))
    chosen = [example for turn in turns for example in turn if example is not None][:count]
    return _prepare([(example.path, example.sha256) for example in chosen], spec, seed)


def calibrate_with_folder(folder: Path, spec: PreprocessSpec, count: int, seed: int) -> Calibration:
    """Prepares `count` images found anywhere below `folder`. Raises `DataError`."""
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}; expected a folder with images to calibrate with")
    hashed = [(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in _photos(folder)]
    if not hashed:
        raise DataError(
            f"{folder} has no images to calibrate with; expected .jpg or .png files, in any folders below it"
        )
    return _prepare(sorted(hashed, key=lambda each: _rank(each[1], seed))[:count], spec, seed)


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
