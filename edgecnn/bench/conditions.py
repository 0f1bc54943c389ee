"""Whether the machine stayed the same, and was left in peace, while it was measured.

What the system does not tell is None, and speaks against nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.bench.environment import (
    Environment,
    MachineState,
    other_busy_cores,
    read_machine_state,
    was_throttled,
)
from edgecnn.core import board
from edgecnn.core.board import ROOT, THROTTLED_NOW
from edgecnn.core.settings.device_profile import profile_of_board

MAX_OTHERS_SHARE = 0.5
"""Share of the cores that other processes may keep busy."""
MAX_CELSIUS = 80.0
"""From here on a processor holds itself back, where no device profile knows better."""
MIN_CLOCK_SHARE = 0.9
"""Share of its highest clock below which the fastest core is slow."""
MAX_SLOW_SHARE = 0.1
"""Share of the readings in which the fastest core may be slow."""
MAX_CLOCK_SHIFT_S = 0.5
"""By so much the system's clock may move against the one that measures."""


class Reading(NamedTuple):
    """The machine at one moment."""

    celsius: float | None
    """Of the hottest thermal zone."""
    clock_hz: int | None
    """Of the core that is fastest at this moment."""
    governor: str | None
    throttle_bits: int | None
    clock_offset_s: float
    """The system's clock (`time.time`) minus `time.monotonic`."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the machine was like from before the first sample until after the last."""

    before: MachineState
    after: MachineState
    readings: tuple[Reading, ...]
    """The first before the first sample, the others between turns and after the last."""
    top_clock_hz: int | None
    """The highest that the system's own settings allowed the fastest core at the beginning."""
    limit_celsius: float

    @property
    def celsius(self) -> tuple[float, ...]:
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
        """The largest difference between the offsets of the system's clock."""
        offsets = [reading.clock_offset_s for reading in self.readings]
        return max(offsets) - min(offsets)

    @property
    def throttled(self) -> bool | None:
        bits = [reading.throttle_bits or 0 for reading in self.readings]
        return any(each & THROTTLED_NOW for each in bits) or was_throttled(self.before, self.after)


class Watch:
    """Collects readings of the machine, in the measuring thread, so that none falls into a sample."""

    def __init__(self, environment: Environment, interval_s: float, root: Path = ROOT) -> None:
        self._interval_s = interval_s
        self._root = root
        self._limit_celsius = limit_celsius(environment.board)
        self._top_clock_hz = _fastest_hz(root, "scaling_max_freq")
        self._readings = [read_conditions(root)]
        self._looked_s = time.monotonic()
        self._before = read_machine_state(root)

    def look(self) -> None:
        """Takes a reading if it is time for one."""
        if time.monotonic() - self._looked_s >= self._interval_s:
            self._readings.append(read_conditions(self._root))
            self._looked_s = time.monotonic()

    def conclude(self) -> Conditions:
        """The conditions from the beginning until now."""
        after = read_machine_state(self._root)
        readings = (*self._readings, read_conditions(self._root))
        return Conditions(self._before, after, readings, self._top_clock_hz, self._limit_celsius)


def read_conditions(root: Path = ROOT) -> Reading:
    """The machine at this moment; `root` is where `/proc` and `/sys` are."""
    return Reading(
        celsius=max(board.temperatures_celsius(root).values(), default=None),
        clock_hz=_fastest_hz(root, "scaling_cur_freq"),
        governor=board.governor(root),
        throttle_bits=board.throttle_bits(),
        clock_offset_s=time.time() - time.monotonic(),
    )


def limit_celsius(board_name: str | None) -> float:
    """The temperature from which on a board holds its processor back, by its device profile."""
    profile = profile_of_board(board_name) if board_name else None
    if profile is None or profile.temperature is None:
        return MAX_CELSIUS
    return profile.temperature.soft_celsius or profile.temperature.throttle_celsius


def machine_reasons(environment: Environment, conditions: Conditions) -> Iterator[str]:
    """Why the conditions spoil the numbers."""
    if conditions.throttled:
        yield "the firmware held the processor back (heat or low voltage): cool the board, use its own power supply"
    hottest = max(conditions.celsius, default=0.0)
    if hottest >= conditions.limit_celsius:
        yield (
            f"the temperature rose to {hottest:.1f} degrees Celsius, expected less than {conditions.limit_celsius:g}: "
            "let the machine cool down, or cool it better"
        )
    yield from _clock_reasons(conditions)
    yield from _load_reasons(environment, conditions)


def conditions_record(conditions: Conditions) -> dict[str, Any]:
    """The JSON object of `conditions`."""
    celsius = conditions.celsius
    return {
        "duration_s": round(conditions.after.clock_s - conditions.before.clock_s, 3),
        "readings": len(conditions.readings),
        "temperature_celsius": [celsius[0], max(celsius), celsius[-1]] if celsius else None,
        "limit_celsius": conditions.limit_celsius,
        "top_clock_hz": conditions.top_clock_hz,
        "slow_clock_share": conditions.slow_share,
        "throttled": conditions.throttled,
        "other_busy_cores": other_busy_cores(conditions.before, conditions.after),
        "clock_shift_s": round(conditions.clock_shift_s, 3),
    }


def _clock_reasons(conditions: Conditions) -> Iterator[str]:
    governors = dict.fromkeys(reading.governor for reading in conditions.readings if reading.governor)
    if len(governors) > 1:
        yield f"the governor changed during the measurement ({', '.join(governors)}): keep it at performance"
    slow = conditions.slow_share
    if slow is not None and slow > MAX_SLOW_SHARE:
        yield (
            f"in {slow:.0%} of the readings the fastest core ran below {MIN_CLOCK_SHARE:.0%} of its highest clock, "
            f"governor {next(iter(governors), 'unknown')}: set the governor performance, cool the machine"
        )
    if conditions.clock_shift_s > MAX_CLOCK_SHIFT_S:
        yield (
            f"the system's clock moved by {conditions.clock_shift_s:.1f} s against the one that measures: the machine "
            "slept, or its time was set"
        )


def _load_reasons(environment: Environment, conditions: Conditions) -> Iterator[str]:
    cores = environment.cores or 1
    others = other_busy_cores(conditions.before, conditions.after)
    if others is not None and others > MAX_OTHERS_SHARE * cores:
        yield f"other processes kept {others:.1f} of {cores} cores busy: stop them and measure again"
    elif others is None and (environment.load_average or 0.0) > MAX_OTHERS_SHARE * cores:
        yield f"the load average was {environment.load_average:.1f} on {cores} cores before: let it settle"


def _fastest_hz(root: Path, quantity: str) -> int | None:
    """The highest of a quantity that the kernel gives in kHz for every core."""
    files = root.glob(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{quantity}")
    found = [board.read_text(file) for file in files]
    # A driver that does not know says so in a word.
    return max((int(kilohertz) * 1000 for kilohertz in found if kilohertz and kilohertz.isdigit()), default=None)
