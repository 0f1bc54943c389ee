"""Import of data sets of arrays in one `.npz`, in the layout of Keras's MNIST or of MedMNIST."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.dataset import TEST, TRAIN, VALIDATION
from edgecnn.core.errors import InputError
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.preprocess import Image
from edgecnn.data.known_sets import find_known_set
from edgecnn.data.source import Photo, Source, name_classes

_LAYOUTS = (
    {TRAIN: ("x_train", "y_train"), TEST: ("x_test", "y_test")},
    {
        TRAIN: ("train_images", "train_labels"),
        VALIDATION: ("val_images", "val_labels"),
        TEST: ("test_images", "test_labels"),
    },
)
"""Arrays of images and labels of each split, in Keras's layout and in MedMNIST's."""


def read_npz(path: Path, labels: LabelMap | None = None) -> Source:
    """Open a data set of images and one class number for each.

    The images are written as PNG, gray ones with one channel. A photo is named after its index in the array.

    Args:
        path: File of uint8 images `[n, height, width]` or `[n, height, width, 1 or 3]` and integer class numbers
            `[n]` or `[n, 1]`.
        labels: Class names. If None, MNIST and MedMNIST's sets are recognized by the name of the file, and the
            classes of other sets are named by their numbers.

    Returns:
        The data set; the images are read when it is iterated.

    Raises:
        InputError: The file is missing, damaged, or not a classification data set.
    """
    name, known = find_known_set(path.stem)
    layout = _layout(path)
    numbers = {split: _class_numbers(path, keys[1]) for split, keys in layout.items()}
    present = {int(number) for of_split in numbers.values() for number in np.unique(of_split)}
    names = name_classes(present, labels or (LabelMap(known.labels) if known else None), str(path))

    def photos() -> Iterator[Photo]:
        for split, (images_key, labels_key) in layout.items():
            images = _images(path, images_key)
            if len(images) != len(numbers[split]):
                raise InputError(
                    f"{path}: expected one label per image, got {len(images)} {images_key} and "
                    f"{len(numbers[split])} {labels_key}"
                )
            for index, (image, number) in enumerate(zip(images, numbers[split], strict=True)):
                yield Photo(split, names[int(number)], f"{index:06}.png", _png(image))

    return Source(
        name,
        origin=path.name,
        sha256=sha256_of(path),
        license=known.license if known else None,
        citation=known.citation if known else None,
        count=sum(map(len, numbers.values())),
        photos=photos,
    )


def _layout(path: Path) -> Mapping[str, tuple[str, str]]:
    """Return the names of the arrays of each split in the file, according to its layout."""
    with _open_zip(path) as archive:
        keys = {Path(name).stem for name in archive.namelist()}
    for layout in _LAYOUTS:
        if all(key in keys for key in layout[TRAIN]):
            return {split: pair for split, pair in layout.items() if set(pair) <= keys}
    expected = " or ".join(", ".join(key for pair in layout.values() for key in pair) for layout in _LAYOUTS)
    raise InputError(f"{path}: expected the arrays {expected}, got {', '.join(sorted(keys)) or 'none'}")


def _class_numbers(path: Path, key: str) -> NDArray[np.integer[Any]]:
    numbers = _array(path, key)
    if numbers.ndim == 2 and numbers.shape[1] > 1:
        raise InputError(
            f"{path}: {key} gives each image {numbers.shape[1]} labels; expected one: a photo belongs to one class"
        )
    if not np.issubdtype(numbers.dtype, np.integer) or numbers.ndim not in (1, 2) or not numbers.size:
        raise InputError(f"{path}: expected {key} as one integer per image, got {numbers.dtype} {numbers.shape}")
    return numbers.reshape(-1)


def _images(path: Path, key: str) -> Image:
    images = _array(path, key)
    gray, color = images.ndim == 3, images.ndim == 4 and images.shape[3] in (1, 3)
    if images.dtype != np.uint8 or not (gray or color) or 0 in images.shape[1:]:
        raise InputError(
            f"{path}: expected {key} as uint8 (n, height, width) or (n, height, width, 1 or 3), "
            f"got {images.dtype} {images.shape}"
        )
    return images


def _array(path: Path, key: str) -> NDArray[Any]:
    try:
        # Loading a pickled array could execute any code.
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[key])
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {key} cannot be read: {error}; download the file again") from None


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}; expected an .npz of images and labels") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not an .npz of images and labels: {error}; download it again") from None


def _png(image: Image) -> bytes:
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    _, content = cv2.imencode(".png", pixels)
    return content.tobytes()
