"""What a measurement was made on, and whether the machine was left in peace meanwhile.

Nothing here names a host or a user. What the system does not tell is None.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgecnn.core.errors import MissingDependency
from edgecnn.runtime.interpreter import find_runtime

_ROOT = Path("/")

# Bits of `vcgencmd get_throttled`: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit. The same
# from bit 16 on tells that it happened since boot.
_THROTTLED_NOW = 0xF
_SINCE_BOOT_SHIFT = 16


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


def describe_environment(root: Path = _ROOT) -> Environment:
    """Describes this machine; `root` is where `/proc`, `/sys` and `/etc` are."""
    bits = _throttle_bits()
    package, package_version = _interpreter()
    return Environment(
        machine=platform.machine() or None,
        board=_read(root / "proc/device-tree/model"),
        cpu=_field(root / "proc/cpuinfo", "model name"),
        cores=_cores(),
        memory_bytes=_kilobytes(root / "proc/meminfo", "MemTotal"),
        os=_os_name(root),
        kernel=platform.release() or None,
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        max_frequency_hz=_max_frequency_hz(root),
        temperatures_celsius=_temperatures(root),
        throttled=None if bits is None else bool(bits & _THROTTLED_NOW),
        load_average=_load_average(root),
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


def peak_rss_bytes(root: Path = _ROOT) -> int | None:
    """The most memory that this process has occupied since it began, on Linux."""
    return _kilobytes(root / "proc/self/status", "VmHWM")


def read_machine_state(root: Path = _ROOT) -> MachineState:
    """The counters at this moment."""
    return MachineState(time.monotonic(), time.process_time(), _busy_cpu_s(root), _throttle_bits())


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
    newly = (after.throttle_bits & ~before.throttle_bits) >> _SINCE_BOOT_SHIFT
    return bool((before.throttle_bits | after.throttle_bits) & _THROTTLED_NOW or newly)


def _read(path: Path) -> str | None:
    try:
        # Strings of the device tree end with a NUL.
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _field(path: Path, key: str) -> str | None:
    """The value of the first `key : value` line of a file such as /proc/cpuinfo."""
    for line in (_read(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip() or None
    return None


def _kilobytes(path: Path, key: str) -> int | None:
    value = _field(path, key)
    return int(value.split()[0]) * 1024 if value else None


def _cores() -> int | None:
    # Absent outside Linux.
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count()


def _os_name(root: Path) -> str | None:
    for line in (_read(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return platform.system() or None


def _max_frequency_hz(root: Path) -> int | None:
    found = [_read(path) for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")]
    return max((int(kilohertz) * 1000 for kilohertz in found if kilohertz), default=None)


def _temperatures(root: Path) -> dict[str, float]:
    hottest: dict[str, float] = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        kind, millidegrees = _read(zone / "type"), _read(zone / "temp")
        if kind and millidegrees:
            hottest[kind] = max(hottest.get(kind, float("-inf")), int(millidegrees) / 1000)
    return hottest


def _load_average(root: Path) -> float | None:
    text = _read(root / "proc/loadavg")
    return float(text.split()[0]) if text else None


def _busy_cpu_s(root: Path) -> float | None:
    """From the first line of /proc/stat, which Android and some containers hide or leave at 0."""
    words = (_read(root / "proc/stat") or "").split("\n")[0].split()
    if not words or words[0] != "cpu":
        return None
    user, nice, system, idle, _, interrupt, soft_interrupt, steal = (int(word) for word in words[1:9])
    if not idle:
        return None
    return (user + nice + system + interrupt + soft_interrupt + steal) / os.sysconf("SC_CLK_TCK")


def _throttle_bits() -> int | None:
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        answer = subprocess.run([command, "get_throttled"], capture_output=True, text=True, timeout=2, check=True)
        return int(answer.stdout.partition("=")[2], 16)
    except (OSError, subprocess.SubprocessError, ValueError):
        # Present on a Raspberry Pi, but it answers only members of the group `video`.
        return None


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
