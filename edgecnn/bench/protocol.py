"""Measurement protocols, modeled on MLPerf Inference's single stream: a query starts as soon as the last one ends."""

from __future__ import annotations

from edgecnn.core.records.benchmark import Protocol
from edgecnn.core.settings.command_settings import QUICK_QUERIES, QUICK_SECONDS, BenchmarkSettings

FULL = Protocol()
QUICK = Protocol(queries=QUICK_QUERIES, min_seconds=QUICK_SECONDS, max_seconds=600.0, warm_up=4)
"""A first look: its p99 is close to the worst sample."""


def protocol_for(settings: BenchmarkSettings) -> Protocol:
    """Return the protocol for some settings: `FULL` or `QUICK` with the queries and seconds that were given.

    Args:
        settings: Settings of a command or recipe.

    Returns:
        The protocol. A minimum duration above half the maximum raises the maximum.
    """
    protocol = QUICK if settings.quick else FULL
    queries = protocol.queries if settings.queries is None else settings.queries
    seconds = protocol.min_seconds if settings.seconds is None else settings.seconds
    longest = max(protocol.max_seconds, 2 * seconds)
    return protocol.model_copy(update={"queries": queries, "min_seconds": seconds, "max_seconds": longest})
