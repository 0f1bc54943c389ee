"""The same for several devices at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import EdgecnnError
from edgecnn.deploy.ssh import Connection
from edgecnn.deploy.target import Target

_AT_ONCE = 4

Work = Callable[[Target, Connection], Any]


class Outcome(NamedTuple):
    """What became of the work on a device."""

    target: Target
    result: Any
    error: EdgecnnError | None


def on_each(targets: Sequence[Target], work: Work, config: Path | None = None) -> Iterator[Outcome]:
    """Connects to every device and does `work`, on a few at a time; the outcomes come as they are there.

    One device's error does not keep the others from being done. `config` are settings for ssh.
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
