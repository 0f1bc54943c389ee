"""What the kernel and a Raspberry Pi's firmware tell of the machine and of this process. What they do not tell is None.

`root` is the folder in which `/proc`, `/sys` and `/etc` lie.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")

THROTTLE_REASONS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
"""Meaning of the bits of `vcgencmd get_throttled`, from bit 0 on for this moment."""
SINCE_BOOT_SHIFT = 16
"""From this bit on the same reasons tell that it happened since boot."""
THROTTLED_NOW = (1 << len(THROTTLE_REASONS)) - 1
"""The bits of this moment."""

_FIRMWARE_TIMEOUT_S = 2


class Memory(NamedTuple):
    """Sizes in bytes."""

    total: int | None
    available: int | None
    """What programs can have without swapping."""
    swap: int | None


def board_name(root: Path = ROOT) -> str | None:
    """The name in the device tree, as single-board computers have it."""
    return read_text(root / "proc/device-tree/model")


def cpu_name(root: Path = ROOT) -> str | None:
    """The processor's name; ARM kernels tell none."""
    return _field(root / "proc/cpuinfo", "model name")


def os_name(root: Path = ROOT) -> str | None:
    """The distribution with its version, else the kind of system."""
    for line in (read_text(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return platform.system() or None


def governor(root: Path = ROOT) -> str | None:
    """The frequency policy of the first core."""
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def max_frequency_hz(root: Path = ROOT) -> int | None:
    """Of the fastest core."""
    found = [read_text(path) for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")]
    return max((int(kilohertz) * 1000 for kilohertz in found if kilohertz), default=None)


def temperatures_celsius(root: Path = ROOT) -> dict[str, float]:
    """By kind of thermal zone; the hottest, where a kind has several zones."""
    hottest: dict[str, float] = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        kind, millidegrees = read_text(zone / "type"), read_text(zone / "temp")
        if kind and millidegrees:
            hottest[kind] = max(hottest.get(kind, float("-inf")), int(millidegrees) / 1000)
    return hottest


def memory(root: Path = ROOT) -> Memory:
    """The machine's memory and swap space."""
    path = root / "proc/meminfo"
    return Memory(_bytes(path, "MemTotal"), _bytes(path, "MemAvailable"), _bytes(path, "SwapTotal"))


def peak_rss_bytes(root: Path = ROOT) -> int | None:
    """The most memory that this process has occupied since it began, on Linux."""
    return _bytes(root / "proc/self/status", "VmHWM")


def load_average(root: Path = ROOT) -> float | None:
    """Tasks running or waiting, mean of the last minute."""
    text = read_text(root / "proc/loadavg")
    return float(text.split()[0]) if text else None


def busy_cpu_s(root: Path = ROOT) -> float | None:
    """Processor time of all processes on all cores since boot; Android and some containers hide it or leave it at 0."""
    words = (read_text(root / "proc/stat") or "").split("\n")[0].split()
    if not words or words[0] != "cpu":
        return None
    user, nice, system, idle, _, interrupt, soft_interrupt, steal = (int(word) for word in words[1:9])
    if not idle:
        return None
    return (user + nice + system + interrupt + soft_interrupt + steal) / os.sysconf("SC_CLK_TCK")


def firmware_answer(question: str) -> str | None:
    """What a Raspberry Pi's firmware answers to `vcgencmd QUESTION`; None without that program or an answer."""
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        return subprocess.run(
            [command, question], capture_output=True, text=True, timeout=_FIRMWARE_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        # Present on a Raspberry Pi, but it answers only members of the group `video`.
        return None


def throttle_bits() -> int | None:
    """What the firmware says of power and heat, see `THROTTLE_REASONS`; None where it does not tell."""
    answer = firmware_answer("get_throttled") or ""
    try:
        return int(answer.partition("=")[2], 16)
    except ValueError:
        return None


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """The reasons among the lowest bits, by name; shift by `SINCE_BOOT_SHIFT` for those since boot."""
    return tuple(reason for place, reason in enumerate(THROTTLE_REASONS) if bits >> place & 1)


def read_text(path: Path) -> str | None:
    """The content of a file of the kernel, without what ends it; None where it is empty or cannot be read."""
    try:
        # Strings of the device tree end with a NUL.
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _field(path: Path, key: str) -> str | None:
    """The value of the first `key : value` line of a file such as /proc/cpuinfo."""
    for line in (read_text(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip() or None
    return None


def _bytes(path: Path, key: str) -> int | None:
    """A field that is given in kB, which are 1024 bytes each."""
    value = _field(path, key)
    return int(value.split()[0]) * 1024 if value else None
