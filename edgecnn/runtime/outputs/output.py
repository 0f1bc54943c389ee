"""What a consumer of results offers that may be slow, or dead for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from edgecnn.core.errors import WriteError
from edgecnn.runtime.sinks import CameraEvent, Result

Want = Literal["nothing", "figures", "picture"]
"""How much of a result an output needs; with "figures" the frame comes without its pixels."""

PATIENCE_S = 0.5
"""How long an output may try to deliver one item before it gives the item up."""

FLUSH_S = 1.0
"""How long an output that delivers several items at once may hold one back."""


class ItemsLost(WriteError):
    """What `close` raises when items that were taken and held back cannot be delivered any more."""

    def __init__(self, message: str, items: int) -> None:
        super().__init__(message)
        self.items = items


class Output(Protocol):
    """Delivers results and events; `QueuedOutput` gives it a queue and a thread of its own.

    That thread alone calls `take` and `close`; `wants` is called by the live loop.
    """

    @property
    def name(self) -> str:
        """What it is called in messages and figures: no password in it."""

    def wants(self, result: Result) -> Want:
        """How much of `result` is needed. Returns at once: inference waits for it."""

    def take(self, item: Result | CameraEvent) -> None:
        """Delivers `item`, or raises `WriteError` for one that is lost; the next one is tried all the same.

        What can be waited for is waited for `PATIENCE_S` at most. The frame's pixels are the output's only until it
        returns: the array is used again for a later picture.
        """

    def close(self) -> None:
        """Ends what can be ended in order, within `PATIENCE_S`. Called once, after the last `take`.

        Raises `WriteError` for what cannot, `ItemsLost` when items are lost by it.
        """


@runtime_checkable
class Buffering(Protocol):
    """An output that may hold items back after `take`, to deliver several of them at once."""

    def flush(self) -> None:
        """Delivers what is held back, or raises `WriteError` and holds it on.

        Called by the output's thread whenever nothing came for `FLUSH_S`; within `PATIENCE_S`, as `take`.
        """


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """How an output is doing."""

    name: str
    delivered: int
    dropped: int
    """Items that made way for newer ones, since the output was too slow."""
    failed: int
    """Items that the output could not deliver."""
    last_error: str
    """Why it could not, last, without its name; empty if it always could."""
    failing: bool
    """Whether the last attempt to deliver was a failure."""
