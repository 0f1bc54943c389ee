"""Facts about the machine and this process, as the kernel and a Raspberry Pi's firmware report them.

A fact that they do not report is None. The parameter `root` of the functions is the folder that contains `/proc`,
`/sys` and `/etc`.
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
"""Meanings of the lowest bits of `vcgencmd get_throttled`, from bit 0 onwards, for the present moment."""
SINCE_BOOT_SHIFT = 16
"""From this bit onwards, the same reasons say that it has happened since boot."""
THROTTLED_NOW = (1 << len(THROTTLE_REASONS)) - 1
"""Mask of the bits for the present moment."""

_FIRMWARE_TIMEOUT_S = 2


class Memory(NamedTuple):
    """Sizes in bytes."""

    total: int | None
    available: int | None
    """Memory that programs can get without swapping."""
    swap: int | None


def board_name(root: Path = ROOT) -> str | None:
    """Return the board's name from the device tree, which single-board computers have.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        The name, such as `Raspberry Pi 4 Model B Rev 1.4`.
    """
    return read_text(root / "proc/device-tree/model")


def cpu_name(root: Path = ROOT) -> str | None:
    """Return the processor's name.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        The name; None on ARM, whose kernels do not report one.
    """
    return _field(root / "proc/cpuinfo", "model name")


def os_name(root: Path = ROOT) -> str | None:
    """Return the name of the operating system.

    Args:
        root: Folder that contains `/etc`.

    Returns:
        The distribution with its version, otherwise the kind of system, such as `Linux`.
    """
    for line in (read_text(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip("\"'")
    return platform.system() or None


def governor(root: Path = ROOT) -> str | None:
    """Return the frequency policy of the first core.

    Args:
        root: Folder that contains `/sys`.

    Returns:
        The policy, such as `ondemand`.
    """
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def max_frequency_hz(root: Path = ROOT) -> int | None:
    """Return the highest frequency of the fastest core.

    Args:
        root: Folder that contains `/sys`.

    Returns:
        The frequency in Hz.
    """
    texts = [read_text(path) for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")]
    return max((int(kilohertz) * 1000 for kilohertz in texts if kilohertz), default=None)


def temperatures_celsius(root: Path = ROOT) -> dict[str, float]:
    """Return the temperatures of the thermal zones.

    Args:
        root: Folder that contains `/sys`.

    Returns:
        Degrees Celsius by kind of zone; of several zones of one kind, the hottest.
    """
    hottest: dict[str, float] = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        kind, millidegrees = read_text(zone / "type"), read_text(zone / "temp")
        if kind and millidegrees:
            hottest[kind] = max(hottest.get(kind, float("-inf")), int(millidegrees) / 1000)
    return hottest


def memory(root: Path = ROOT) -> Memory:
    """Return the machine's memory and swap space.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        Sizes in bytes.
    """
    path = root / "proc/meminfo"
    return Memory(_bytes(path, "MemTotal"), _bytes(path, "MemAvailable"), _bytes(path, "SwapTotal"))


def peak_rss_bytes(root: Path = ROOT) -> int | None:
    """Return the peak memory usage of this process since it started.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        Peak resident set size in bytes; None outside Linux.
    """
    return _bytes(root / "proc/self/status", "VmHWM")


def load_average(root: Path = ROOT) -> float | None:
    """Return the load average of the last minute.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        Mean number of tasks that run or wait.
    """
    text = read_text(root / "proc/loadavg")
    return float(text.split()[0]) if text else None


def busy_cpu_s(root: Path = ROOT) -> float | None:
    """Return the processor time of all processes on all cores since boot.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        Seconds; None on Android and in some containers, which hide the counters or leave them at 0.
    """
    fields = (read_text(root / "proc/stat") or "").split("\n")[0].split()
    if not fields or fields[0] != "cpu":
        return None
    user, nice, system, idle, _, interrupt, soft_interrupt, steal = (int(field) for field in fields[1:9])
    if not idle:
        return None
    return (user + nice + system + interrupt + soft_interrupt + steal) / os.sysconf("SC_CLK_TCK")


def firmware_answer(question: str) -> str | None:
    """Ask a Raspberry Pi's firmware a question with `vcgencmd`.

    Args:
        question: Command of `vcgencmd`, such as `get_throttled`.

    Returns:
        The output of `vcgencmd`; None if that program is missing or gives no answer.
    """
    command = shutil.which("vcgencmd")
    if command is None:
        return None
    try:
        return subprocess.run(
            [command, question], capture_output=True, text=True, timeout=_FIRMWARE_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError, ValueError):
        # Every Raspberry Pi has the program, but it answers only members of the group `video`.
        return None


def throttle_bits() -> int | None:
    """Return the firmware's report on power and heat.

    Returns:
        Bits as explained at `THROTTLE_REASONS`; None if there is no such report.
    """
    answer = firmware_answer("get_throttled") or ""
    try:
        return int(answer.partition("=")[2], 16)
    except ValueError:
        return None


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Translate throttling bits to reasons.

    Args:
        bits: Result of `throttle_bits`; shift it right by `SINCE_BOOT_SHIFT` to get the reasons since boot.

    Returns:
        Names of the reasons whose bits are set, among the lowest bits.
    """
    return tuple(reason for bit, reason in enumerate(THROTTLE_REASONS) if bits >> bit & 1)


def read_text(path: Path) -> str | None:
    """Read a file that the kernel provides.

    Args:
        path: File below `/proc` or `/sys`.

    Returns:
        The content without trailing characters; None if it is empty or unreadable.
    """
    try:
        # Strings of the device tree end with a NUL.
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _field(path: Path, key: str) -> str | None:
    """Return the value of the first `key : value` line of a file such as /proc/cpuinfo."""
    for line in (read_text(path) or "").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() == key:
            return value.strip() or None
    return None


def _bytes(path: Path, key: str) -> int | None:
    """Return a field in bytes; the file gives it in kB, which are 1024 bytes each."""
    value = _field(path, key)
    return int(value.split()[0]) * 1024 if value else None
