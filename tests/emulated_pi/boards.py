"""The boards that can be emulated, and the files in which Linux describes them to programs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

CORES = 4


class Board(NamedTuple):
    """A board as its device tree, /proc/cpuinfo and /sys describe it."""

    cpu: str
    """Name of the processor in qemu."""
    model: str
    revision: str
    features: str
    part: int
    variant: int
    stepping: int
    max_frequency_khz: int


BOARDS = {
    "pi4": Board(
        cpu="cortex-a72",
        model="Raspberry Pi 4 Model B Rev 1.4",
        revision="c03114",
        features="fp asimd evtstrm crc32 cpuid",
        part=0xD08,
        variant=0,
        stepping=3,
        max_frequency_khz=1_800_000,
    ),
    "pi5": Board(
        cpu="cortex-a76",
        model="Raspberry Pi 5 Model B Rev 1.0",
        revision="c04170",
        features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        part=0xD0B,
        variant=4,
        stepping=1,
        max_frequency_khz=2_400_000,
    ),
}


def write_board(proc: Path, system: Path, board: Board) -> None:
    """Write the files that describe a board.

    Args:
        proc: Folder in place of /proc.
        system: Folder in place of /sys.
        board: The board.
    """
    _write(proc / "cpuinfo", _cpuinfo(board))
    _write(proc / "device-tree/model", f"{board.model}\0")
    cpus = system / "devices/system/cpu"
    # The interpreter chooses its kernels by these files. Without them it runs without XNNPACK; with the host's it
    # crashes.
    for name in ("possible", "present", "online"):
        _write(cpus / name, f"0-{CORES - 1}\n")
    for core in range(CORES):
        _write(cpus / f"cpu{core}/cpufreq/cpuinfo_max_freq", f"{board.max_frequency_khz}\n")
        _write(cpus / f"cpu{core}/cpufreq/scaling_governor", "ondemand\n")
    _write(system / "class/thermal/thermal_zone0/type", "cpu-thermal\n")
    _write(system / "class/thermal/thermal_zone0/temp", "48312\n")


def _cpuinfo(board: Board) -> str:
    cores = (
        f"processor\t: {core}\n"
        "BogoMIPS\t: 108.00\n"
        f"Features\t: {board.features}\n"
        "CPU implementer\t: 0x41\n"
        "CPU architecture: 8\n"
        f"CPU variant\t: {board.variant:#x}\n"
        f"CPU part\t: {board.part:#x}\n"
        f"CPU revision\t: {board.stepping}\n\n"
        for core in range(CORES)
    )
    return "".join(cores) + f"Revision\t: {board.revision}\nSerial\t\t: 10000000e0e0e0e0\nModel\t\t: {board.model}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
