"""Interface of an output: a consumer of results that may be slow, or fail for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from edgecnn.core.errors import WriteError
from edgecnn.runtime.sinks import CameraEvent, Result

Want = Literal["nothing", "figures", "picture"]
"""Parts of a result that an output needs; with "figures" the frame comes without its pixels."""

PATIENCE_S = 0.5
"""Longest time an output may try to deliver one item before it gives the item up."""

FLUSH_S = 1.0
"""Longest time an output that delivers items in batches may buffer one."""


class ItemsLost(WriteError):
    """Raised by `close` when buffered items can no longer be delivered."""

    def __init__(self, message: str, items: int) -> None:
        super().__init__(message)
        self.items = items


class Output(Protocol):
    """Consumer of results and events; `QueuedOutput` runs it behind a queue in a thread of its own.

    Only that thread calls `take` and `close`; the live loop calls `wants`.
    """

    @property
    def name(self) -> str:
        """Name in messages and statistics, without a password."""

    def wants(self, result: Result) -> Want:
        """Return how much of `result` is needed. Must return immediately, because inference waits for it."""

    def take(self, item: Result | CameraEvent) -> None:
        """Deliver an item, waiting up to `PATIENCE_S` if necessary.

        The pixels of the frame may be used only until this method returns: the array is reused for a later picture.

        Raises:
            WriteError: If the item is lost. The next item is attempted nevertheless.
        """

    def close(self) -> None:
        """Shut down in an orderly way, within `PATIENCE_S`. Called once, after the last `take`.

        Raises:
            WriteError: If that is not possible.
            ItemsLost: If items are lost because of it.
        """


@runtime_checkable
class Buffering(Protocol):
    """Output that may buffer items in `take`, to deliver several of them at once."""

    def flush(self) -> None:
        """Deliver the buffered items, within `PATIENCE_S` like `take`.

        The output's thread calls this whenever no item arrived for `FLUSH_S`.

        Raises:
            WriteError: If they cannot be delivered; they stay buffered.
        """


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """Status of an output."""

    name: str
    """Name of the output."""
    delivered: int
    """Number of items delivered."""
    dropped: int
    """Number of items replaced by newer ones because the output was too slow."""
    failed: int
    """Number of items that the output could not deliver."""
    last_error: str
    """Reason of the last failure, without the name of the output; empty if there was none."""
    failing: bool
    """True if the last attempt to deliver failed."""
