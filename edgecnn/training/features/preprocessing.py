"""Photos of a data set through the shared preprocessing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from edgecnn.core.dataset import Example, read_example
from edgecnn.core.parallel import map_in_threads
from edgecnn.core.preprocess import Image, PreprocessSpec, preprocess
from edgecnn.core.processors import usable_processors


def prepared_photo(example: Example, spec: PreprocessSpec) -> Image:
    """uint8 `[height, width, channels]`. Raises `DataError` for a photo that is gone or not the one that was found."""
    return preprocess(read_example(example), spec)


def prepared_photos(examples: Sequence[Example], spec: PreprocessSpec) -> Iterator[Image]:
    """The same for many photos, in their order, on all processors."""
    return map_in_threads(partial(prepared_photo, spec=spec), examples, usable_processors())
