from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core import board
from edgecnn.core.board import SINCE_BOOT_SHIFT, THROTTLE_REASONS, THROTTLED_NOW, Memory, throttle_reasons


def write_files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_memory_is_read_in_kibibytes(tmp_path: Path) -> None:
    text = "MemTotal:  440000 kB\nMemFree:  1 kB\nMemAvailable:  300000 kB\nSwapTotal:  102396 kB\n"
    write_files(tmp_path, {"proc/meminfo": text})
    assert board.memory(tmp_path) == Memory(440000 * 1024, 300000 * 1024, 102396 * 1024)


def test_unreported_facts_are_none(tmp_path: Path) -> None:
    readers = (board.board_name, board.cpu_name, board.governor, board.max_frequency_hz, board.load_average)
    assert [read(tmp_path) for read in readers] == [None] * len(readers)
    assert board.memory(tmp_path) == Memory(None, None, None)
    assert board.temperatures_celsius(tmp_path) == {}
    assert board.busy_cpu_s(tmp_path) is None


def test_terminating_nul_is_removed_from_device_tree_name(tmp_path: Path) -> None:
    write_files(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    assert board.board_name(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"


def test_unreadable_sensor_is_skipped(tmp_path: Path) -> None:
    zones = "sys/class/thermal/thermal_zone"
    write_files(tmp_path, {f"{zones}0/type": "cpu-thermal", f"{zones}0/temp": "51540", f"{zones}1/type": "gone"})
    assert board.temperatures_celsius(tmp_path) == {"cpu-thermal": 51.54}


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        (0x0, (), ()),
        (0x1, ("under-voltage",), ()),
        (0x50005, ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        (0xE0008, ("soft temperature limit",), ("frequency capped", "throttled", "soft temperature limit")),
    ],
)
def test_throttle_bits_are_translated_to_reasons(bits: int, now: tuple[str, ...], since_boot: tuple[str, ...]) -> None:
    assert throttle_reasons(bits) == now
    assert throttle_reasons(bits >> SINCE_BOOT_SHIFT) == since_boot


@given(st.integers(0, 0xFFFFF))
def test_every_bit_of_the_present_moment_has_its_own_reason(bits: int) -> None:
    reasons = throttle_reasons(bits)
    assert sum(1 << THROTTLE_REASONS.index(reason) for reason in reasons) == bits & THROTTLED_NOW


@pytest.mark.parametrize(
    ("body", "bits"),
    [("echo throttled=0x50005", 0x50005), ("exit 255", None), ("echo VCHI initialization failed", None)],
)
def test_throttle_bits_are_read_with_vcgencmd(
    body: str, bits: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vcgencmd").write_text(f"#!/bin/sh\n{body}\n")
    (tmp_path / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert board.throttle_bits() == bits
