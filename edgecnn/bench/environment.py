"""What a measurement was made on, and whether the machine was left in peace meanwhile.

Nothing here names a host or a user. What the system does not tell is None.
"""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgecnn.core import board
from edgecnn.core.board import ROOT, SINCE_BOOT_SHIFT, THROTTLED_NOW, peak_rss_bytes
from edgecnn.core.errors import MissingDependency
from edgecnn.core.processors import usable_cores
from edgecnn.runtime.inference.interpreter import find_runtime

__all__ = [
    "Environment",
    "MachineState",
    "describe_environment",
    "environment_record",
    "other_busy_cores",
    "peak_rss_bytes",
    "read_machine_state",
    "was_throttled",
]


@dataclass(frozen=True, slots=True)
class Environment:
    """Hardware and software of a measurement."""

    machine: str | None
    """Architecture, such as aarch64."""
    board: str | None
    """Name in the device tree, as single-board computers have it."""
    cpu: str | None
    cores: int | None
    """Cores that this process may run on."""
    memory_bytes: int | None
    os: str | None
    kernel: str | None
    governor: str | None
    """Frequency policy of the first core."""
    max_frequency_hz: int | None
    """Of the fastest core."""
    temperatures_celsius: dict[str, float]
    """By kind of thermal zone; the hottest, where a kind has several zones."""
    throttled: bool | None
    """Whether a Raspberry Pi's firmware holds the processor back at this moment."""
    load_average: float | None
    """Tasks running or waiting, mean of the last minute."""
    python: str
    numpy: str
    opencv: str
    interpreter: str | None
    interpreter_version: str | None
    edgecnn: str | None


class MachineState(NamedTuple):
    """Counters to be read before and after a measurement."""

    clock_s: float
    own_cpu_s: float
    """Processor time of this process."""
    busy_cpu_s: float | None
    """Processor time of all processes, on all cores."""
    throttle_bits: int | None


def describe_environment(root: Path = ROOT) -> Environment:
    """Describes this machine; `root` is where `/proc`, `/sys` and `/etc` are."""
    bits = board.throttle_bits()
    package, package_version = _interpreter()
    return Environment(
        machine=platform.machine() or None,
        board=board.board_name(root),
        cpu=board.cpu_name(root),
        cores=usable_cores(),
        memory_bytes=board.memory(root).total,
        os=board.os_name(root),
        kernel=platform.release() or None,
        governor=board.governor(root),
        max_frequency_hz=board.max_frequency_hz(root),
        temperatures_celsius=board.temperatures_celsius(root),
        throttled=None if bits is None else bool(bits & THROTTLED_NOW),
        load_average=board.load_average(root),
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        interpreter=package,
        interpreter_version=package_version,
        edgecnn=_package_version("edgecnn"),
    )


def environment_record(environment: Environment) -> dict[str, Any]:
    """The JSON object of `environment`."""
    return asdict(environment)


def read_machine_state(root: Path = ROOT) -> MachineState:
    """The counters at this moment."""
    return MachineState(time.monotonic(), time.process_time(), board.busy_cpu_s(root), board.throttle_bits())


def other_busy_cores(before: MachineState, after: MachineState) -> float | None:
    """Cores that other processes kept busy between two states, on average; a hypervisor's share counts as theirs."""
    elapsed = after.clock_s - before.clock_s
    if before.busy_cpu_s is None or after.busy_cpu_s is None or elapsed <= 0:
        return None
    others = after.busy_cpu_s - before.busy_cpu_s - (after.own_cpu_s - before.own_cpu_s)
    # The kernel counts in ticks of 10 ms and this process in nanoseconds, so that a quiet machine may come out below 0.
    return max(0.0, others / elapsed)


def was_throttled(before: MachineState, after: MachineState) -> bool | None:
    """Whether the firmware held the processor back at either state or between them."""
    if before.throttle_bits is None or after.throttle_bits is None:
        return None
    newly = (after.throttle_bits & ~before.throttle_bits) >> SINCE_BOOT_SHIFT
    return bool((before.throttle_bits | after.throttle_bits) & THROTTLED_NOW or newly)


def _interpreter() -> tuple[str | None, str | None]:
    try:
        runtime = find_runtime()
    except MissingDependency:
        return None, None
    return runtime.package, runtime.version


def _package_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
