"""The interface of every frame source."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image


class FrameSource(Protocol):
    """Source of a series of frames.

    The pixels of a frame belong to the reader, and stay unchanged until the reader passes the array back as `reuse`.
    """

    @property
    def name(self) -> str:
        """Name of the source in results and messages, without a password."""

    @property
    def live(self) -> bool:
        """True if frames arrive at their own pace and are lost if nobody reads them."""

    @property
    def dropped(self) -> int:
        """Number of frames lost before the last one read; 0 for files."""

    @property
    def unreadable(self) -> Sequence[str]:
        """Images that were skipped because they cannot be decoded."""

    @property
    def bad_pictures(self) -> int:
        """Number of camera pictures that were skipped because they are truncated or undecodable; 0 for files."""

    def read(self, reuse: Image | None = None) -> Frame | None:
        """Return the next frame, or None after the last.

        `reuse` is the array of an earlier frame that the caller no longer needs: the source may write a later frame
        into it.

        Raises:
            SourceLost: If a live source stops.
            SourceError: If its frames cannot be used.
        """

    def close(self) -> None:
        """Release the device or file. May be called twice, and while another thread reads.

        That `read` then ends soon, with `SourceLost` or None, and its thread releases the device.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
