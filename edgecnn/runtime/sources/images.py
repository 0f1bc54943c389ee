"""Images in files as a source of frames."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from edgecnn.core.errors import DataError
from edgecnn.core.frame import Frame
from edgecnn.core.images import IMAGE_SUFFIXES, read_image
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable


class ImageSource(Closeable):
    """Image files, in the order given; each frame is called by its file.

    With `skip_unreadable` an image that cannot be decoded is listed in `unreadable` and the next one takes its turn (it
    keeps its number); without, `read` raises `DataError`.
    """

    live = False
    dropped = 0
    bad_pictures = 0

    def __init__(self, paths: Iterable[Path], *, name: str, skip_unreadable: bool = False) -> None:
        self.name = name
        self.unreadable: list[str] = []
        self._skip_unreadable = skip_unreadable
        self._remaining = enumerate(paths)

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next image that can be decoded, upright by its EXIF orientation; `reuse` is of no use here."""
        for number, path in self._remaining:
            started_ns = time.monotonic_ns()
            try:
                pixels = read_image(path)
            except DataError:
                if not self._skip_unreadable:
                    raise
                self.unreadable.append(str(path))
                continue
            captured_ns = time.monotonic_ns()
            return Frame(pixels, str(path), number, time.time(), captured_ns, (captured_ns - started_ns) / 1e6)
        return None

    def close(self) -> None:
        """Ends the series: the next `read` gives None."""
        self._remaining = enumerate(())


def images_in(folder: Path) -> list[Path]:
    """Files below `folder` that are images by their suffix, sorted, hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
