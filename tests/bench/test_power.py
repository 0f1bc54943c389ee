from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn.bench.frames import synthetic_frames
from edgecnn.bench.latency import benchmark
from edgecnn.bench.power import PowerMeter, board_watts, energy_of, rail_watts
from edgecnn.core.records.benchmark import Energy, Protocol
from edgecnn.runtime.inference.classifier import load_model
from tests.pixel_model import write_pixel_model

# Output in the layout of a Raspberry Pi 5: channels out of order, an input and a battery without current.
PI_5 = """\
 3V7_WL_SW_A current(0)=0.10000000A
   3V3_SYS_A current(1)=0.20000000A
  DDR_VDDQ_A current(4)=0.00000000A
  VDD_CORE_A current(7)=2.50000000A
   0V8_AON_A current(16)=0.00500000A
      HDMI_A current(22)=0.02000000A
 3V7_WL_SW_V volt(8)=3.70000000V
   3V3_SYS_V volt(9)=3.30000000V
  DDR_VDDQ_V volt(12)=0.60000000V
  VDD_CORE_V volt(15)=0.80000000V
   0V8_AON_V volt(19)=0.80000000V
      HDMI_V volt(23)=5.10000000V
     EXT5V_V volt(24)=5.08000000V
      BATT_V volt(25)=3.01000000V
"""
PI_5_WATTS = 0.1 * 3.7 + 0.2 * 3.3 + 2.5 * 0.8 + 0.005 * 0.8 + 0.02 * 5.1
DEADLINE_S = 60.0

Firmware = Callable[[str], None]


@pytest.fixture
def firmware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firmware:
    """Return a function that puts a `vcgencmd` on PATH which runs a shell script for `pmic_read_adc`."""
    folder = tmp_path / "firmware"
    folder.mkdir()
    (folder / "pi_5").write_text(PI_5)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def install(script: str) -> None:
        command = folder / "vcgencmd"
        others = "[ $1 = pmic_read_adc ] || { echo throttled=0x0; exit; }"
        command.write_text(f"#!/bin/sh\ncd '{folder}'\n{others}\n{script}\n")
        command.chmod(0o755)

    return install


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_power_is_the_sum_over_rails_with_current_and_voltage() -> None:
    assert rail_watts(PI_5) == pytest.approx(PI_5_WATTS)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        'error=1 error_msg="Command not registered"\n',
        "     EXT5V_V volt(24)=5.08000000V\n",
        "  VDD_CORE_A current(7)=2.50000000A\n  VDD_CORE_V volt(15)=nanV\n",
        "  VDD_CORE_A current(7)=2.50000000A\n   3V3_SYS_V volt(9)=3.30000000V\n",
    ],
)
def test_incomplete_output_gives_no_power(answer: str) -> None:
    assert rail_watts(answer) is None


def test_power_is_read_from_the_firmware(firmware: Firmware) -> None:
    firmware("cat pi_5")
    assert board_watts() == pytest.approx(PI_5_WATTS)
    firmware("exit 255")
    assert board_watts() is None


def test_a_board_without_the_command_gives_no_power(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board_watts() is None


def test_energy_per_frame_is_power_times_time() -> None:
    energy = energy_of([3.0, 5.0], 2.5)
    assert energy == Energy(n=2, mean_watts=4.0, mj_per_frame=10.0)
    assert energy_of([], 2.5) is None


def test_readings_are_assigned_to_the_model_whose_turn_it_is(firmware: Firmware) -> None:
    firmware("cat pi_5")
    with PowerMeter(0.001) as meter:
        for model in ("first", "second"):
            meter.begin_turn(model)
            _wait(lambda model=model: len(meter.watts_of(model)) >= 2)
    assert all(watts == pytest.approx(PI_5_WATTS) for watts in meter.watts_of("first"))


def test_a_reading_across_two_turns_is_assigned_to_neither(firmware: Firmware, tmp_path: Path) -> None:
    firmware("if [ -e block ]; then touch blocked; while [ -e block ]; do sleep 0.01; done; fi; cat pi_5")
    block, blocked = tmp_path / "firmware" / "block", tmp_path / "firmware" / "blocked"
    with PowerMeter(0.001) as meter:
        meter.begin_turn("first")
        block.touch()
        _wait(blocked.exists)
        readings = len(meter.watts_of("first"))
        meter.begin_turn("second")
        block.unlink()
        _wait(lambda: meter.watts_of("second"))
    assert len(meter.watts_of("first")) == readings


def test_a_board_without_power_measurement_has_no_readings(firmware: Firmware) -> None:
    firmware("echo 'error=1 error_msg=\"Command not registered\"'")
    with PowerMeter(0.001) as meter:
        meter.begin_turn("first")
    assert meter.watts_of("first") == ()


def test_a_benchmark_measures_energy_per_frame_if_the_board_can(firmware: Firmware, tmp_path: Path) -> None:
    firmware("cat pi_5")
    protocol = Protocol(queries=1, min_seconds=1, watch_seconds=0.01)
    report = benchmark(
        load_model(write_pixel_model(tmp_path, 8, 8)), frames=synthetic_frames(480, 640, 2, seed=1), protocol=protocol
    )
    energy, total = report.model.energy, report.model.stages().total
    assert energy is not None
    assert energy.mean_watts == pytest.approx(PI_5_WATTS)
    assert energy.mj_per_frame == pytest.approx(PI_5_WATTS * total.mean_ms)
