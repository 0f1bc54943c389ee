from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgecnn.bench.conditions import (
    MAX_CELSIUS,
    Conditions,
    Reading,
    Watch,
    conditions_record,
    limit_celsius,
    machine_reasons,
    read_conditions,
)
from edgecnn.bench.environment import MachineState, describe_environment
from edgecnn.core.records.benchmark import Environment
from edgecnn.core.settings.device_profile import read_profiles

CPU = "sys/devices/system/cpu"
ZONE = "sys/class/thermal/thermal_zone0"


@pytest.fixture
def environment() -> Environment:
    return describe_environment().model_copy(update={"cores": 4, "board": None, "load_average": None})


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str, str], None]:
    """Return a function that writes files of a machine with two cores, whose root is `tmp_path`."""

    def write(name: str, content: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)

    for core in ("cpu0", "cpu1"):
        write(f"{CPU}/{core}/cpufreq/scaling_max_freq", "1800000\n")
        write(f"{CPU}/{core}/cpufreq/scaling_cur_freq", "600000\n")
    write(f"{CPU}/cpu0/cpufreq/scaling_governor", "ondemand\n")
    write(f"{ZONE}/type", "cpu-thermal\n")
    write(f"{ZONE}/temp", "50000\n")
    return write


def _conditions(*readings: Reading, others_s: float | None = 0.0) -> Conditions:
    """Return ten seconds in which other processes used `others_s` of processor time."""
    busy = None if others_s is None else 10 + others_s
    before, after = MachineState(0, 0, None if others_s is None else 0, None), MachineState(10, 10, busy, None)
    return Conditions(before, after, readings or (STEADY, STEADY), 1_800_000_000, 80.0)


STEADY = Reading(50.0, 1_800_000_000, "performance", None, 1000.0)


def _reasons(environment: Environment, conditions: Conditions) -> list[str]:
    return list(machine_reasons(environment, conditions))


def test_a_steady_machine_has_no_reasons(environment: Environment) -> None:
    assert _reasons(environment, _conditions()) == []


def test_a_core_that_was_idle_at_the_start_is_not_slow(
    environment: Environment, machine: Callable[[str, str], None], tmp_path: Path
) -> None:
    watch = Watch(environment, 1e-9, tmp_path)
    machine(f"{CPU}/cpu1/cpufreq/scaling_cur_freq", "1800000\n")
    watch.poll()
    conditions = watch.finish()
    assert [reading.clock_hz for reading in conditions.readings] == [600_000_000, 1_800_000_000, 1_800_000_000]
    assert conditions.slow_share == 0
    assert _reasons(environment, conditions) == []


def test_a_slow_clock_is_reported_with_the_governor(
    environment: Environment, machine: Callable[[str, str], None], tmp_path: Path
) -> None:
    watch = Watch(environment, 1e-9, tmp_path)
    machine(f"{CPU}/cpu0/cpufreq/scaling_cur_freq", "1500000\n")
    watch.poll()
    machine(f"{CPU}/cpu0/cpufreq/scaling_cur_freq", "1800000\n")
    watch.poll()
    watch.poll()
    (reason,) = _reasons(environment, watch.finish())
    assert reason.startswith("in 25% of the readings the fastest core ran below 90% of its highest clock, governor ond")


def test_heat_is_reported_with_the_limit(
    environment: Environment, machine: Callable[[str, str], None], tmp_path: Path
) -> None:
    machine(f"{CPU}/cpu0/cpufreq/scaling_cur_freq", "1800000\n")
    watch = Watch(environment, 1e-9, tmp_path)
    machine(f"{ZONE}/temp", "80500\n")
    watch.poll()
    machine(f"{ZONE}/temp", "70000\n")
    conditions = watch.finish()
    (reason,) = _reasons(environment, conditions)
    assert reason.startswith("the temperature rose to 80.5 degrees Celsius, expected less than 80:")
    assert conditions_record(conditions).temperature_celsius == (50.0, 80.5, 70.0)


def test_the_temperature_limit_is_that_of_the_board() -> None:
    limits = [profile for profile in read_profiles() if profile.temperature and profile.board_names]
    assert limits
    for profile in limits:
        assert profile.temperature is not None
        own = profile.temperature.soft_celsius or profile.temperature.throttle_celsius
        assert limit_celsius(f"{profile.board_names[0]} Rev 1.4") == own
    assert limit_celsius("A board that nobody knows") == limit_celsius(None) == MAX_CELSIUS


def test_a_change_of_governor_is_reported(environment: Environment) -> None:
    (reason,) = _reasons(environment, _conditions(STEADY, STEADY._replace(governor="powersave")))
    assert "changed during the measurement (performance, powersave)" in reason


def test_a_jump_of_the_system_clock_is_reported(environment: Environment) -> None:
    assert _reasons(environment, _conditions(STEADY, STEADY._replace(clock_offset_s=1000.03))) == []
    (reason,) = _reasons(environment, _conditions(STEADY, STEADY._replace(clock_offset_s=1007.0), STEADY))
    assert "clock shifted by 7.0 s" in reason


def test_load_by_other_processes_is_reported(environment: Environment) -> None:
    assert _reasons(environment, _conditions(others_s=10)) == []
    (reason,) = _reasons(environment, _conditions(others_s=30))
    assert "3.0 of 4 cores" in reason


def test_the_load_average_is_used_if_the_system_hides_processor_times(environment: Environment) -> None:
    hidden = _conditions(others_s=None)
    (reason,) = _reasons(environment.model_copy(update={"load_average": 2.5}), hidden)
    assert "was 2.5 on 4 cores" in reason
    assert _reasons(environment, hidden) == []


@pytest.mark.parametrize("bits", [(0x0, 0x4), (0x40000, 0x40004)])
def test_throttling_during_the_measurement_is_reported_even_if_it_also_happened_before(
    environment: Environment, bits: tuple[int, int]
) -> None:
    steady, throttled = (STEADY._replace(throttle_bits=each) for each in bits)
    conditions = _conditions(steady, throttled, steady)
    assert conditions.throttled is True
    (reason,) = _reasons(environment, conditions)
    assert "throttled the processor" in reason


def test_throttling_between_two_readings_is_detected_by_the_sticky_bits(environment: Environment) -> None:
    conditions = _conditions()
    before, after = conditions.before._replace(throttle_bits=0), conditions.after._replace(throttle_bits=0x40000)
    assert replace(conditions, before=before, after=after).throttled is True
    assert conditions.throttled is None


def test_values_that_a_machine_does_not_provide_are_no_reasons(environment: Environment, tmp_path: Path) -> None:
    watch = Watch(environment, 1e-9, tmp_path)
    watch.poll()
    conditions = watch.finish()
    assert _reasons(environment, conditions) == []
    record = conditions_record(conditions)
    assert (record.temperature_celsius, record.top_clock_hz, record.slow_clock_share) == (None, None, None)


def test_an_unknown_clock_is_none(machine: Callable[[str, str], None], tmp_path: Path) -> None:
    for core in ("cpu0", "cpu1"):
        machine(f"{CPU}/{core}/cpufreq/scaling_cur_freq", "<unknown>\n")
    assert read_conditions(tmp_path).clock_hz is None


def test_a_poll_before_the_interval_has_passed_takes_no_reading(environment: Environment, tmp_path: Path) -> None:
    watch = Watch(environment, 3600, tmp_path)
    watch.poll()
    assert len(watch.finish().readings) == 2
