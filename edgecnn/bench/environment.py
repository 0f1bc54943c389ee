"""The machine that a measurement runs on, and counters that show whether other processes disturbed it.

Nothing here names a host or a user. A value that the system does not provide is None.
"""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edgecnn.core import board
from edgecnn.core.board import ROOT, SINCE_BOOT_SHIFT, THROTTLED_NOW
from edgecnn.core.errors import MissingDependency
from edgecnn.core.processors import usable_cores
from edgecnn.core.records.benchmark import Environment
from edgecnn.runtime.inference.interpreter import find_runtime


class MachineState(NamedTuple):
    """Counters that are read before and after a measurement."""

    clock_s: float
    own_cpu_s: float
    """Processor time of this process."""
    busy_cpu_s: float | None
    """Processor time of all processes, on all cores."""
    throttle_bits: int | None


def describe_environment(root: Path = ROOT) -> Environment:
    """Describe this machine.

    Args:
        root: Folder that contains `/proc`, `/sys` and `/etc`.

    Returns:
        Hardware and software.
    """
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


def read_machine_state(root: Path = ROOT) -> MachineState:
    """Read the counters at this moment.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        The counters.
    """
    return MachineState(time.monotonic(), time.process_time(), board.busy_cpu_s(root), board.throttle_bits())


def other_busy_cores(before: MachineState, after: MachineState) -> float | None:
    """Return the mean number of cores that other processes kept busy between two states.

    Args:
        before: The earlier state.
        after: The later state.

    Returns:
        Number of cores, including a hypervisor's share; None if the system does not provide processor times.
    """
    elapsed = after.clock_s - before.clock_s
    if before.busy_cpu_s is None or after.busy_cpu_s is None or elapsed <= 0:
        return None
    others = after.busy_cpu_s - before.busy_cpu_s - (after.own_cpu_s - before.own_cpu_s)
    # The kernel counts in ticks of 10 ms and this process in nanoseconds, so an idle machine may yield less than 0.
    return max(0.0, others / elapsed)


def was_throttled(before: MachineState, after: MachineState) -> bool | None:
    """Check for throttling by the firmware at two states and between them.

    Args:
        before: The earlier state.
        after: The later state.

    Returns:
        True if the processor was throttled; None on a board without such firmware.
    """
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
