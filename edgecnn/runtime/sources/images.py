"""Image files as a source of frames."""

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
    """Image files in the given order; each frame is named after its file.

    With `skip_unreadable`, an image that cannot be decoded is added to `unreadable` and skipped; its number is not
    reused. Otherwise `read` raises `DataError` for it.
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
        """Return the next decodable image, upright according to its EXIF orientation, or None after the last.

        `reuse` is ignored.

        Raises:
            DataError: If an image cannot be decoded and unreadable images are not skipped.
        """
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
        """End the series: the next `read` returns None."""
        self._remaining = enumerate(())


def images_in(folder: Path) -> list[Path]:
    """List the image files below a folder.

    Args:
        folder: Folder to search recursively.

    Returns:
        Sorted paths of all files with an image suffix, except hidden files and those in hidden folders.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
