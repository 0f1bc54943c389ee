"""How latency is measured: like MLPerf Inference's "single stream", one frame a query, as soon as the last is done."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgecnn.core.errors import InputError
from edgecnn.core.settings.command_settings import BenchmarkSettings


@dataclass(frozen=True, slots=True)
class Protocol:
    """Measuring ends when every model has answered `queries` and `min_seconds` have passed, or after `max_seconds`.

    MLPerf's single stream asks for 1024 queries too; a minute is enough for a small board to show whether it gets hot.
    """

    queries: int = 1024
    """Of each model; its 99th percentile then has ten samples above it."""
    min_seconds: float = 60.0
    """Of the whole measured part, however many models take turns in it: long enough for heat and clock to settle."""
    max_seconds: float = 1800.0
    warm_up: int = 16
    """Predictions of each model that are not counted, before the first that is."""
    block: int = 16
    """Samples in a turn. Each turn begins with one more prediction that is not counted: it pays for refilling the
    caches that the other model used."""
    frame_height: int = 480
    frame_width: int = 640
    watch_seconds: float = 1.0
    """Pause between two looks at temperature, clock and power."""

    def __post_init__(self) -> None:
        if min(self.queries, self.block, self.frame_height, self.frame_width) < 1 or self.warm_up < 0:
            raise InputError("expected at least 1 query, a block of 1, a frame of 1x1 pixels and no negative warm-up")
        if not 0 <= self.min_seconds <= self.max_seconds or not self.max_seconds:
            least, most = self.min_seconds, self.max_seconds
            raise InputError(f"expected a minimum duration between 0 s and the maximum, got {least:g} and {most:g} s")
        if self.watch_seconds <= 0:
            raise InputError(f"expected a pause above 0 s between two looks, got {self.watch_seconds:g} s")


QUICK = Protocol(queries=128, min_seconds=10.0, max_seconds=600.0, warm_up=4)
"""For a first look: its p99 is next to the worst sample."""


def protocol_for(settings: BenchmarkSettings) -> Protocol:
    """The protocol that `settings` ask for. Raises `InputError`."""
    protocol = QUICK if settings.quick else Protocol()
    queries = protocol.queries if settings.queries is None else settings.queries
    seconds = protocol.min_seconds if settings.seconds is None else settings.seconds
    return replace(protocol, queries=queries, min_seconds=seconds, max_seconds=max(protocol.max_seconds, 2 * seconds))
