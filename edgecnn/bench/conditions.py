"""State of the machine during a measurement: heat, clock, and load by other processes.

A value that the system does not provide is None and invalidates nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgecnn.bench.environment import MachineState, other_busy_cores, read_machine_state, was_throttled
from edgecnn.core import board
from edgecnn.core.board import ROOT, THROTTLED_NOW
from edgecnn.core.records.benchmark import ConditionsRecord, Environment
from edgecnn.core.settings.device_profile import profile_of_board

MAX_OTHERS_SHARE = 0.5
"""Maximum share of the cores that other processes may keep busy."""
MAX_CELSIUS = 80.0
"""Temperature at which a processor is assumed to throttle, unless a device profile specifies another."""
MIN_CLOCK_SHARE = 0.9
"""The fastest core is slow below this share of its highest clock."""
MAX_SLOW_SHARE = 0.1
"""Maximum share of the readings in which the fastest core may be slow."""
MAX_CLOCK_SHIFT_S = 0.5
"""Maximum shift of the system clock against the monotonic clock."""


class Reading(NamedTuple):
    """The machine at one moment."""

    celsius: float | None
    """Temperature of the hottest thermal zone."""
    clock_hz: int | None
    """Clock of the core that is fastest at this moment."""
    governor: str | None
    throttle_bits: int | None
    clock_offset_s: float
    """The system clock (`time.time`) minus `time.monotonic`."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The machine from before the first sample until after the last."""

    before: MachineState
    after: MachineState
    readings: tuple[Reading, ...]
    """The first is from before the first sample, the others from between turns and after the last sample."""
    top_clock_hz: int | None
    """Highest clock that the system's settings allowed the fastest core at the start."""
    limit_celsius: float

    @property
    def celsius(self) -> tuple[float, ...]:
        """Temperatures of the readings that have one."""
        return tuple(reading.celsius for reading in self.readings if reading.celsius is not None)

    @property
    def slow_share(self) -> float | None:
        """Share of the readings under load in which the fastest core was slow."""
        clocks = [reading.clock_hz for reading in self.readings[1:] if reading.clock_hz is not None]
        if not clocks or not self.top_clock_hz:
            return None
        return sum(clock < MIN_CLOCK_SHARE * self.top_clock_hz for clock in clocks) / len(clocks)

    @property
    def clock_shift_s(self) -> float:
        """Largest difference between the readings' clock offsets."""
        offsets = [reading.clock_offset_s for reading in self.readings]
        return max(offsets) - min(offsets)

    @property
    def throttled(self) -> bool | None:
        """True if the firmware throttled the processor at a reading or between two."""
        bits = [reading.throttle_bits or 0 for reading in self.readings]
        return any(each & THROTTLED_NOW for each in bits) or was_throttled(self.before, self.after)


class Watch:
    """Takes readings of the machine in the measuring thread, so that no reading disturbs a sample."""

    def __init__(self, environment: Environment, interval_s: float, root: Path = ROOT) -> None:
        self._interval_s = interval_s
        self._root = root
        self._limit_celsius = limit_celsius(environment.board)
        self._top_clock_hz = _fastest_hz(root, "scaling_max_freq")
        self._readings = [read_conditions(root)]
        self._last_reading_s = time.monotonic()
        self._before = read_machine_state(root)

    def poll(self) -> None:
        """Take a reading if the interval has passed."""
        if time.monotonic() - self._last_reading_s >= self._interval_s:
            self._readings.append(read_conditions(self._root))
            self._last_reading_s = time.monotonic()

    def finish(self) -> Conditions:
        """Return the conditions from the start until now."""
        after = read_machine_state(self._root)
        readings = (*self._readings, read_conditions(self._root))
        return Conditions(self._before, after, readings, self._top_clock_hz, self._limit_celsius)


def read_conditions(root: Path = ROOT) -> Reading:
    """Read the state of the machine at this moment.

    Args:
        root: Folder that contains `/proc` and `/sys`.

    Returns:
        The reading.
    """
    return Reading(
        celsius=max(board.temperatures_celsius(root).values(), default=None),
        clock_hz=_fastest_hz(root, "scaling_cur_freq"),
        governor=board.governor(root),
        throttle_bits=board.throttle_bits(),
        clock_offset_s=time.time() - time.monotonic(),
    )


def limit_celsius(board_name: str | None) -> float:
    """Return the temperature at which a board throttles its processor.

    Args:
        board_name: Name in the device tree.

    Returns:
        Degrees Celsius from the board's device profile, or `MAX_CELSIUS` without a profile.
    """
    profile = profile_of_board(board_name) if board_name else None
    if profile is None or profile.temperature is None:
        return MAX_CELSIUS
    return profile.temperature.soft_celsius or profile.temperature.throttle_celsius


def machine_reasons(environment: Environment, conditions: Conditions) -> Iterator[str]:
    """Find what about the machine makes a measurement invalid.

    Args:
        environment: The machine before the measurement.
        conditions: The machine during the measurement.

    Yields:
        One line per reason, with what to do.
    """
    if conditions.throttled:
        yield "the firmware throttled the processor (heat or low voltage): cool the board, use its own power supply"
    hottest = max(conditions.celsius, default=0.0)
    if hottest >= conditions.limit_celsius:
        yield (
            f"the temperature rose to {hottest:.1f} degrees Celsius, expected less than {conditions.limit_celsius:g}: "
            "let the machine cool down, or cool it better"
        )
    yield from _clock_reasons(conditions)
    yield from _load_reasons(environment, conditions)


def conditions_record(conditions: Conditions) -> ConditionsRecord:
    """Return the JSON object of the conditions.

    Args:
        conditions: The machine during a measurement.

    Returns:
        The record; durations are rounded to milliseconds.
    """
    celsius = conditions.celsius
    return ConditionsRecord(
        duration_s=round(conditions.after.clock_s - conditions.before.clock_s, 3),
        readings=len(conditions.readings),
        temperature_celsius=(celsius[0], max(celsius), celsius[-1]) if celsius else None,
        limit_celsius=conditions.limit_celsius,
        top_clock_hz=conditions.top_clock_hz,
        slow_clock_share=conditions.slow_share,
        throttled=conditions.throttled,
        other_busy_cores=other_busy_cores(conditions.before, conditions.after),
        clock_shift_s=round(conditions.clock_shift_s, 3),
    )


def _clock_reasons(conditions: Conditions) -> Iterator[str]:
    governors = dict.fromkeys(reading.governor for reading in conditions.readings if reading.governor)
    if len(governors) > 1:
        yield f"the governor changed during the measurement ({', '.join(governors)}): keep it at performance"
    slow = conditions.slow_share
    if slow is not None and slow > MAX_SLOW_SHARE:
        yield (
            f"in {slow:.0%} of the readings the fastest core ran below {MIN_CLOCK_SHARE:.0%} of its highest clock, "
            f"governor {next(iter(governors), 'unknown')}: set the governor to performance, cool the machine"
        )
    if conditions.clock_shift_s > MAX_CLOCK_SHIFT_S:
        yield (
            f"the system clock shifted by {conditions.clock_shift_s:.1f} s against the monotonic clock: the machine "
            "slept, or its time was set; measure again"
        )


def _load_reasons(environment: Environment, conditions: Conditions) -> Iterator[str]:
    cores = environment.cores or 1
    others = other_busy_cores(conditions.before, conditions.after)
    if others is not None and others > MAX_OTHERS_SHARE * cores:
        yield f"other processes kept {others:.1f} of {cores} cores busy: stop them and measure again"
    elif others is None and (environment.load_average or 0.0) > MAX_OTHERS_SHARE * cores:
        yield (
            f"the load average before the measurement was {environment.load_average:.1f} on {cores} cores: "
            "wait until it drops"
        )


def _fastest_hz(root: Path, quantity: str) -> int | None:
    """Return the maximum over all cores of a quantity that the kernel gives in kHz."""
    files = root.glob(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{quantity}")
    values = [board.read_text(file) for file in files]
    # A driver that does not know the value writes a word instead, such as <unknown>.
    return max((int(kilohertz) * 1000 for kilohertz in values if kilohertz and kilohertz.isdigit()), default=None)
