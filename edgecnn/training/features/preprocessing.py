"""Photos of a data set through the shared preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from edgecnn.core.dataset import Example, read_example
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess
from edgecnn.core.processors import usable_processors


def prepared_photo(example: Example, spec: PreprocessSpec) -> Image:
    """Read and preprocess a photo.

    Args:
        example: Photo of a data set.
        spec: Preprocessing of the model.

    Returns:
        Pixels, uint8 `[height, width, channels]`.

    Raises:
        DataError: The photo is missing, or changed since the data set was scanned.
    """
    return preprocess(read_example(example), spec)


def prepared_photos(examples: Sequence[Example], spec: PreprocessSpec) -> Iterator[Image]:
    """Read and preprocess photos on all processors.

    Args:
        examples: Photos of a data set.
        spec: Preprocessing of the model.

    Returns:
        Pixels of each photo, uint8 `[height, width, channels]`, in the order of `examples`.

    Raises:
        DataError: A photo is missing, or changed since the data set was scanned.
    """
    return map_in_threads(partial(prepared_photo, spec=spec), examples, usable_processors())
