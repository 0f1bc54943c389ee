"""What every source of frames offers."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image


class FrameSource(Protocol):
    """Gives frames one after another.

    A frame's pixels belong to whoever read it, and stay as they are until that reader hands the array back as `reuse`.
    """

    @property
    def name(self) -> str:
        """What the source is called in results and messages: no password in it."""

    @property
    def live(self) -> bool:
        """Whether frames come at their own pace and are lost when nobody reads them."""

    @property
    def dropped(self) -> int:
        """Frames lost before the one that was read last; 0 for files."""

    @property
    def unreadable(self) -> Sequence[str]:
        """Images that were passed over since they cannot be decoded."""

    @property
    def bad_pictures(self) -> int:
        """Pictures of a camera that came cut or could not be decoded, and were passed over; 0 for files."""

    def read(self, reuse: Image | None = None) -> Frame | None:
        """The next frame, or None after the last.

        `reuse` is an array from an earlier frame that the caller has no more use for: the source may write a later
        frame into it. Raises `SourceLost` when a live source stops, `SourceError` when its frames cannot be used.
        """

    def close(self) -> None:
        """Lets go of the device or file; may be called twice, and while another thread reads.

        That `read` then ends soon, with `SourceLost` or None, and lets go itself.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
