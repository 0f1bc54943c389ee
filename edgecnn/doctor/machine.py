"""Checks of the board: its model, clock, heat, power, memory and disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecnn.core import board
from edgecnn.core.board import SINCE_BOOT_SHIFT, Memory
from edgecnn.core.settings.device_profile import DeviceProfile, TemperatureLimits, profile_of_board
from edgecnn.doctor.finding import Finding, Status, output_of

_MIB = 2**20
# A live MobileNetV2 at 224 px was measured at 114 MiB, including the interpreter and OpenCV.
_MEMORY_NEEDED_BYTES = 120 * _MIB
_MEMORY_AMPLE_BYTES = 240 * _MIB
# install.sh requires the same: it keeps the old version until the new one works.
_DISK_NEEDED_BYTES = 100 * _MIB
_DISK_FOR_UPDATE_BYTES = 500 * _MIB
_WARM_CELSIUS = 10
"""Distance in degrees below the throttling temperature from which there is a warning."""
_USUAL_LIMITS = TemperatureLimits(throttle_celsius=80, limit_celsius=85)
_TIME_TIMEOUT_S = 5

_POWER = "use the board's own power supply with a short, thick cable, and fewer USB devices"
_COOLING = "put a heat sink or a fan on the processor, and let air reach it"
_FULL_SPEED = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
# The file has one line, and it has been in this folder since Raspberry Pi OS 12.
_ENABLE_MEMORY_CONTROLLER = "sudo sed -i '1s/$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt && sudo reboot"


def check_board(root: Path) -> Finding:
    """Identify the board and the device profile that matches it.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        The finding.
    """
    name = board.board_name(root)
    if name is None:
        return Finding("board", "unknown", "not a single-board computer: no name in a device tree")
    profile = profile_of_board(name)
    return Finding("board", "ok", f"{name}, profile {profile.name}" if profile else f"{name}, no matching profile")


def check_governor(root: Path) -> Finding:
    """Check the CPU frequency governor.

    Args:
        root: Folder that contains `/sys`.

    Returns:
        The finding.
    """
    found = board.governor(root)
    if found is None:
        return Finding("governor", "unknown", "not reported by the kernel")
    if found == "performance":
        return Finding("governor", "ok", found)
    if found == "powersave":
        return Finding("governor", "warning", f"{found}: always the lowest clock", _FULL_SPEED)
    return Finding("governor", "ok", f"{found}: the clock follows the load", f"before a benchmark: {_FULL_SPEED}")


def check_temperature(root: Path) -> Finding:
    """Compare the temperature of the processor with the one at which it is slowed down.

    Args:
        root: Folder that contains `/proc` and `/sys`.

    Returns:
        The finding.
    """
    zones = board.temperatures_celsius(root)
    if not zones:
        return Finding("temperature", "unknown", "not reported by the kernel")
    return temperature_finding(max(zones.values()), _limits_of(_profile(root)))


def temperature_finding(celsius: float, limits: TemperatureLimits) -> Finding:
    """Judge a temperature.

    Args:
        celsius: Temperature of the processor.
        limits: Limits of the board.

    Returns:
        The finding.
    """
    warm_celsius = limits.soft_celsius or limits.throttle_celsius - _WARM_CELSIUS
    found = f"{celsius:.0f} °C, throttled at {limits.throttle_celsius:g} and above"
    if celsius < warm_celsius:
        return Finding("temperature", "ok", found)
    status: Status = "problem" if celsius >= limits.throttle_celsius else "warning"
    return Finding("temperature", status, found, _COOLING)


def check_throttling() -> Finding:
    """Query a Raspberry Pi's firmware for throttling because of power or heat, now and since boot.

    Returns:
        The finding.
    """
    bits = board.throttle_bits()
    if bits is not None:
        return throttling_finding(bits)
    if shutil.which("vcgencmd") is None:
        return Finding(
            "throttling", "unknown", "vcgencmd is not installed", "on a Raspberry Pi: sudo apt install raspi-utils"
        )
    return Finding(
        "throttling", "unknown", "no answer from vcgencmd", "join the group video, or try sudo vcgencmd get_throttled"
    )


def throttling_finding(bits: int) -> Finding:
    """Judge the answer of `vcgencmd get_throttled`.

    Args:
        bits: Its number: the low half is the state now, the high half the state since boot.

    Returns:
        The finding.
    """
    now, before = board.throttle_reasons(bits), board.throttle_reasons(bits >> SINCE_BOOT_SHIFT)
    if not now and not before:
        return Finding("throttling", "ok", "none since boot")
    parts = [f"{', '.join(reasons)} {when}" for reasons, when in ((now, "now"), (before, "since boot")) if reasons]
    weak = "under-voltage" in now + before
    # Without under-voltage, heat is the only reason to lower the clock.
    hot = not weak or "soft temperature limit" in now + before
    fix = "; ".join(advice for advice, needed in ((_POWER, weak), (_COOLING, hot)) if needed)
    return Finding("throttling", "problem" if now else "warning", "; ".join(parts), fix)


def check_memory(root: Path) -> Finding:
    """Check that the free memory is enough for a classifier.

    Args:
        root: Folder that contains `/proc`.

    Returns:
        The finding.
    """
    return memory_finding(board.memory(root))


def memory_finding(memory: Memory) -> Finding:
    """Judge the memory for a live classifier.

    Args:
        memory: Sizes in bytes; None for those that are unknown.

    Returns:
        The finding.
    """
    if memory.available is None or memory.total is None:
        return Finding("memory", "unknown", "not reported by the kernel")
    found = f"{memory.available // _MIB} MB free of {memory.total // _MIB}, swap {(memory.swap or 0) // _MIB} MB"
    if memory.available < _MEMORY_NEEDED_BYTES:
        return Finding(
            "memory",
            "problem",
            found,
            "stop programs that you do not need (see top), or use Raspberry Pi OS Lite",
        )
    if memory.available < _MEMORY_AMPLE_BYTES and not memory.swap:
        fix = "memory may run out: use Raspberry Pi OS Lite, or add swap with sudo apt install zram-tools"
        return Finding("memory", "warning", found, fix)
    return Finding("memory", "ok", found)


def check_disk(root: Path) -> Finding:
    """Check that the disk has space for an update.

    Args:
        root: Folder on the system's disk.

    Returns:
        The finding.
    """
    return disk_finding(shutil.disk_usage(root).free)


def disk_finding(free_bytes: int) -> Finding:
    """Judge the free space on the system's disk.

    Args:
        free_bytes: Free space in bytes.

    Returns:
        The finding.
    """
    found = f"{free_bytes // _MIB} MB free"
    fix = "sudo apt clean; sudo journalctl --vacuum-size=50M"
    if free_bytes < _DISK_NEEDED_BYTES:
        return Finding("disk", "problem", found, fix)
    if free_bytes < _DISK_FOR_UPDATE_BYTES:
        return Finding("disk", "warning", f"{found}, not enough for an update", fix)
    return Finding("disk", "ok", found)


def check_clock() -> Finding:
    """Check that the clock is synchronized.

    Results carry the time and encryption needs it, but most boards lose it without power.

    Returns:
        The finding.
    """
    output = output_of(["timedatectl", "show", "--property", "NTPSynchronized", "--value"], timeout_s=_TIME_TIMEOUT_S)
    match (output or "").strip():
        case "yes":
            return Finding("clock", "ok", "synchronized")
        case "no":
            return Finding(
                "clock", "warning", "not synchronized", "connect to a network, then: sudo timedatectl set-ntp true"
            )
        case _:
            return Finding("clock", "unknown", "no answer from timedatectl")


def check_memory_limit(root: Path) -> Finding:
    """Check that the kernel enforces the memory limit of the service that ships with edgecnn.

    It does so with the memory controller of control groups. `cgroup.controllers` lists the available controllers, see
    https://docs.kernel.org/admin-guide/cgroup-v2.html.

    Args:
        root: Folder that contains `/sys`.

    Returns:
        The finding.
    """
    controllers = board.read_text(root / "sys/fs/cgroup/cgroup.controllers")
    if controllers is None:
        return Finding("memory limit", "unknown", "not reported by the kernel")
    if "memory" in controllers.split():
        return Finding("memory limit", "ok", "the kernel enforces the limit of a service")
    # Raspberry Pi OS starts without it by default.
    found = "the kernel does not measure a service's memory: MemoryMax= in its unit has no effect"
    return Finding("memory limit", "warning", found, _ENABLE_MEMORY_CONTROLLER)


def _profile(root: Path) -> DeviceProfile | None:
    name = board.board_name(root)
    return profile_of_board(name) if name else None


def _limits_of(profile: DeviceProfile | None) -> TemperatureLimits:
    return profile.temperature if profile and profile.temperature else _USUAL_LIMITS
