"""The processors that a run is trained on: one processor or GPU, all GPUs of a machine, or several machines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from edgecnn.core.errors import InputError, WorkerLost
from edgecnn.core.run.run_folder import ExecutionRecord
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.keras import keras, tf

_CLUSTER = "TF_CONFIG"
"""The variable in which TensorFlow, and the launchers of clusters, name the workers."""


class Workers(NamedTuple):
    """The machines that train together."""

    addresses: tuple[str, ...]
    """Each one's `host:port`."""
    rank: int
    """Index of this process in `addresses`."""


class Execution(NamedTuple):
    """The replicas of the network and their precision; each of several workers has its own."""

    strategy: tf.distribute.Strategy
    record: ExecutionRecord
    rank: int
    """Index of this worker; 0 if it is the only one."""

    @property
    def is_plain(self) -> bool:
        """True if there is one copy of the network, in float32."""
        return self.record.replicas == 1 and self.record.workers == 1 and not self.record.mixed_precision

    @property
    def is_chief(self) -> bool:
        """True for the worker that writes the run."""
        return self.rank == 0


def parse_workers(addresses: str | None, rank: int | None) -> Workers | None:
    """Parse `--workers` and `--rank`, or `TF_CONFIG` if they are not given.

    Args:
        addresses: Addresses of all workers, `host:port,host:port`.
        rank: Index of this worker.

    Returns:
        The workers, or None if this process trains alone.

    Raises:
        InputError: The options or the variable are invalid.
    """
    if addresses is None:
        if rank is not None:
            raise InputError(f"--rank {rank} needs --workers host:port,host:port,...")
        return _workers_of_environment()
    named = tuple(address.strip() for address in addresses.split(","))
    for address in named:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"--workers: expected host:port,host:port,..., got {address!r} among them")
    if rank is None or not 0 <= rank < len(named):
        raise InputError(f"--rank: expected a number from 0 to {len(named) - 1}, one for each worker, got {rank}")
    return Workers(named, rank)


def execution_of(settings: TrainSettings, workers: Workers | None) -> Execution:
    """Join the other workers, if there are any, and claim all GPUs of this machine.

    It must be called before anything else uses TensorFlow: a cluster cannot be joined later.

    Args:
        settings: Mixed precision and XLA; if they are not set, both are on if there is a GPU.
        workers: The workers, or None if this process trains alone.

    Returns:
        The strategy that replicates the network, and its record.
    """
    strategy = _strategy(workers)
    gpus = tf.config.list_physical_devices("GPU")
    record = ExecutionRecord(
        device=_device_name(gpus),
        replicas=strategy.num_replicas_in_sync,
        workers=len(workers.addresses) if workers else 1,
        mixed_precision=bool(gpus) if settings.mixed_precision is None else settings.mixed_precision,
        xla=bool(gpus) if settings.xla is None else settings.xla,
    )
    return Execution(strategy, record, workers.rank if workers else 0)


@contextmanager
def building(execution: Execution) -> Iterator[None]:
    """Replicate the networks that are built and compiled in this context, in the execution's precision.

    Args:
        execution: Replicas and precision.

    Yields:
        Nothing. Afterwards the previous precision applies again.
    """
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16" if execution.record.mixed_precision else "float32")
    try:
        with execution.strategy.scope():
            yield
    finally:
        keras.mixed_precision.set_global_policy(before)


@contextmanager
def reporting_lost_workers(execution: Execution) -> Iterator[None]:
    """Turn the errors that TensorFlow raises when another worker disappears into `WorkerLost`.

    Args:
        execution: Number of workers, and which one this is.

    Yields:
        Nothing.

    Raises:
        WorkerLost: Another worker stopped or cannot be reached.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if execution.record.workers == 1:
            raise
        lost = sorted(set(re.findall(r"task:(\d+)", str(error))) - {str(execution.rank)})
        named = f"worker {' and '.join(lost)}" if lost else "another worker"
        raise WorkerLost(
            f"{named} stopped or cannot be reached; start all {execution.record.workers} again with --resume"
        ) from None


def all_reduce_min(execution: Execution, number: int) -> int:
    """Return the smallest number among the workers; wait until each of them has called this function.

    Args:
        execution: The workers.
        number: This worker's number.

    Returns:
        The smallest number of all workers.
    """
    if execution.record.workers == 1:
        return number
    numbers = execution.strategy.run(lambda: tf.constant([number]))
    return int(tf.reduce_min(execution.strategy.gather(numbers, axis=0)))


def barrier(execution: Execution) -> None:
    """Wait until every worker has called this function.

    Args:
        execution: The workers.
    """
    # TensorFlow has no public barrier; a collective operation completes only when all workers take part in it.
    all_reduce_min(execution, 0)


def _strategy(workers: Workers | None) -> tf.distribute.Strategy:
    if workers:
        cluster = {"cluster": {"worker": workers.addresses}, "task": {"type": "worker", "index": workers.rank}}
        os.environ[_CLUSTER] = json.dumps(cluster)
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _workers_of_environment() -> Workers | None:
    text = os.environ.get(_CLUSTER)
    if not text:
        return None
    try:
        cluster = json.loads(text)
        return Workers(tuple(cluster["cluster"]["worker"]), int(cluster["task"]["index"]))
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f'expected {_CLUSTER} such as {{"cluster": {{"worker": ["host:port", ...]}}, "task": {{"type": "worker", '
            f'"index": 0}}}}, got {text!r}; use --workers and --rank instead, or unset it'
        ) from None


def _device_name(gpus: list[Any]) -> str:
    if not gpus:
        return "CPU"
    details: dict[str, Any] = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", "GPU"))
