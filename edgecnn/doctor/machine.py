"""Checks of the board: what it is, its clock, heat, power, memory and card."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgecnn.core import board
from edgecnn.core.board import SINCE_BOOT_SHIFT, Memory
from edgecnn.core.settings.device_profile import DeviceProfile, TemperatureLimits, profile_of_board
from edgecnn.doctor.finding import Finding, Status, output_of

_MIB = 2**20
# A live MobileNetV2 at 224 px was seen to occupy 114 MiB, interpreter and OpenCV included.
_MEMORY_NEEDED_BYTES = 120 * _MIB
_MEMORY_AMPLE_BYTES = 240 * _MIB
# install.sh asks for as much: a new version stands beside the old one until it works.
_DISK_NEEDED_BYTES = 100 * _MIB
_DISK_FOR_UPDATE_BYTES = 500 * _MIB
_WARM_CELSIUS = 10
"""So far below the temperature at which the clock is lowered, it is worth a word."""
_USUAL_LIMITS = TemperatureLimits(throttle_celsius=80, limit_celsius=85)
_TIME_TIMEOUT_S = 5

_POWER = "use the board's own power supply and a short, thick cable, with less on its USB sockets"
_COOLING = "put a heat sink or a fan on the processor, and let air to it"
_FULL_SPEED = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
# The file has one line, and its place is that since Raspberry Pi OS 12.
_COUNT_MEMORY = "sudo sed -i '1s/$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt && sudo reboot"


def check_board(root: Path) -> Finding:
    """Which board this is, and which profile suits it."""
    name = board.board_name(root)
    if name is None:
        return Finding("board", "unknown", "no single-board computer: it has no name in a device tree")
    profile = profile_of_board(name)
    return Finding("board", "ok", f"{name}, profile {profile.name}" if profile else f"{name}, no profile of its own")


def check_governor(root: Path) -> Finding:
    """How the processor's clock is chosen."""
    found = board.governor(root)
    if found is None:
        return Finding("governor", "unknown", "the kernel does not tell")
    if found == "performance":
        return Finding("governor", "ok", found)
    if found == "powersave":
        return Finding("governor", "warning", f"{found}: the lowest clock, always", _FULL_SPEED)
    return Finding("governor", "ok", f"{found}: the clock follows the load", f"before a benchmark: {_FULL_SPEED}")


def check_temperature(root: Path) -> Finding:
    """How far the processor is from being slowed down by its heat."""
    zones = board.temperatures_celsius(root)
    if not zones:
        return Finding("temperature", "unknown", "the kernel does not tell")
    return temperature_finding(max(zones.values()), _limits_of(_profile(root)))


def temperature_finding(celsius: float, limits: TemperatureLimits) -> Finding:
    """What `celsius` means under `limits`."""
    warm_celsius = limits.soft_celsius or limits.throttle_celsius - _WARM_CELSIUS
    found = f"{celsius:.0f} °C, throttled from {limits.throttle_celsius:g} on"
    if celsius < warm_celsius:
        return Finding("temperature", "ok", found)
    status: Status = "problem" if celsius >= limits.throttle_celsius else "warning"
    return Finding("temperature", status, found, _COOLING)


def check_throttling() -> Finding:
    """What a Raspberry Pi's firmware says of power and heat, now and since boot."""
    bits = board.throttle_bits()
    if bits is not None:
        return throttling_finding(bits)
    if shutil.which("vcgencmd") is None:
        return Finding("throttling", "unknown", "no vcgencmd", "on a Raspberry Pi: sudo apt install raspi-utils")
    return Finding(
        "throttling", "unknown", "vcgencmd does not answer", "join the group video, or try sudo vcgencmd get_throttled"
    )


def throttling_finding(bits: int) -> Finding:
    """What `vcgencmd get_throttled` says."""
    now, before = board.throttle_reasons(bits), board.throttle_reasons(bits >> SINCE_BOOT_SHIFT)
    if not now and not before:
        return Finding("throttling", "ok", "none since boot")
    parts = [f"{', '.join(reasons)} {when}" for reasons, when in ((now, "now"), (before, "since boot")) if reasons]
    weak = "under-voltage" in now + before
    # Without it, the clock is lowered for heat alone.
    hot = not weak or "soft temperature limit" in now + before
    fix = "; ".join(advice for advice, needed in ((_POWER, weak), (_COOLING, hot)) if needed)
    return Finding("throttling", "problem" if now else "warning", "; ".join(parts), fix)


def check_memory(root: Path) -> Finding:
    """Whether a classifier fits into what is free."""
    return memory_finding(board.memory(root))


def memory_finding(memory: Memory) -> Finding:
    """What the sizes mean for a live classifier."""
    if memory.available is None or memory.total is None:
        return Finding("memory", "unknown", "the kernel does not tell")
    found = f"{memory.available // _MIB} MB free of {memory.total // _MIB}, swap {(memory.swap or 0) // _MIB} MB"
    if memory.available < _MEMORY_NEEDED_BYTES:
        return Finding(
            "memory", "problem", found, "stop what is not needed (top shows it), or use Raspberry Pi OS Lite"
        )
    if memory.available < _MEMORY_AMPLE_BYTES and not memory.swap:
        fix = "it may get tight: use Raspberry Pi OS Lite, or add swap with sudo apt install zram-tools"
        return Finding("memory", "warning", found, fix)
    return Finding("memory", "ok", found)


def check_disk(root: Path) -> Finding:
    """Whether there is room for an update."""
    return disk_finding(shutil.disk_usage(root).free)


def disk_finding(free_bytes: int) -> Finding:
    """What is free where the system lies."""
    found = f"{free_bytes // _MIB} MB free"
    fix = "sudo apt clean; sudo journalctl --vacuum-size=50M"
    if free_bytes < _DISK_NEEDED_BYTES:
        return Finding("disk", "problem", found, fix)
    if free_bytes < _DISK_FOR_UPDATE_BYTES:
        return Finding("disk", "warning", f"{found}, too little for an update", fix)
    return Finding("disk", "ok", found)


def check_clock() -> Finding:
    """Whether the time is right, which results carry and encryption needs; most boards forget it without power."""
    said = output_of(["timedatectl", "show", "--property", "NTPSynchronized", "--value"], timeout_s=_TIME_TIMEOUT_S)
    match (said or "").strip():
        case "yes":
            return Finding("clock", "ok", "synchronized")
        case "no":
            return Finding("clock", "warning", "not synchronized", "sudo timedatectl set-ntp true, with a network")
        case _:
            return Finding("clock", "unknown", "timedatectl does not answer")


def check_memory_limit(root: Path) -> Finding:
    """Whether the kernel enforces the memory limit of the service that ships, by its memory control group.

    See https://docs.kernel.org/admin-guide/cgroup-v2.html: `cgroup.controllers` lists what is available.
    """
    controllers = board.read_text(root / "sys/fs/cgroup/cgroup.controllers")
    if controllers is None:
        return Finding("memory limit", "unknown", "the kernel does not tell")
    if "memory" in controllers.split():
        return Finding("memory limit", "ok", "the kernel enforces that of a service")
    # Raspberry Pi OS starts without it unless it is told otherwise.
    found = "the kernel does not count a service's memory: MemoryMax= in its unit has no effect"
    return Finding("memory limit", "warning", found, _COUNT_MEMORY)


def _profile(root: Path) -> DeviceProfile | None:
    name = board.board_name(root)
    return profile_of_board(name) if name else None


def _limits_of(profile: DeviceProfile | None) -> TemperatureLimits:
    return profile.temperature if profile and profile.temperature else _USUAL_LIMITS
