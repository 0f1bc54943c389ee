"""Work on several devices at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import EdgecnnError
from edgecnn.deploy.ssh import Connection
from edgecnn.deploy.target import Target

_AT_ONCE = 4
"""Number of devices that are worked on at the same time."""

Work = Callable[[Target, Connection], Any]
"""A function that does something on a connected device and returns a result."""


class Outcome(NamedTuple):
    """The result of the work on a device, or its error."""

    target: Target
    result: Any
    error: EdgecnnError | None


def run_on_each(targets: Sequence[Target], work: Work, config: Path | None = None) -> Iterator[Outcome]:
    """Connect to every device and do the work, on a few at a time.

    The error of one device does not stop the work on the others.

    Args:
        targets: The devices.
        work: Called with each device and a connection to it.
        config: Configuration file for ssh, used instead of `~/.ssh/config`.

    Yields:
        The outcomes, in the order in which they are complete.
    """
    if len(targets) == 1:
        yield _outcome(targets[0], work, config)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = [pool.submit(_outcome, target, work, config) for target in targets]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _outcome(target: Target, work: Work, config: Path | None) -> Outcome:
    try:
        with Connection(target.address, config) as connection:
            return Outcome(target, work(target, connection), None)
    except EdgecnnError as error:
        return Outcome(target, None, error)
