"""Power of the board while it works, if it can measure it: on a Raspberry Pi 5, with its power management chip.

`vcgencmd pmic_read_adc` returns current and voltage of every rail that the chip supplies. The sum of their products is
the power of the board's own electronics; it does not include what is supplied from 5 V (USB, fan, HAT) or the
converters' losses.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import fmean
from types import TracebackType
from typing import Self

from edgecnn.core.board import firmware_answer
from edgecnn.core.records.benchmark import Energy

_CHANNEL = re.compile(
    r"^\s*(?P<rail>\S+)_(?P<quantity>[AV])\s+(?:current|volt)\(\d+\)=(?P<value>\d+\.\d+)(?P=quantity)\s*$"
)


def rail_watts(answer: str) -> float | None:
    """Sum volts times amperes over the rails.

    The input (`EXT5V`) and the clock's battery have only a voltage and are not rails.

    Args:
        answer: Output of `vcgencmd pmic_read_adc`.

    Returns:
        Watts. None if there is no rail, as on boards without that chip, or a rail has a current but no voltage.
    """
    values: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for line in answer.splitlines():
        if channel := _CHANNEL.match(line):
            values[channel["quantity"]][channel["rail"]] = float(channel["value"])
    amperes, volts = values["A"], values["V"]
    if not amperes or not amperes.keys() <= volts.keys():
        return None
    return sum(current * volts[rail] for rail, current in amperes.items())


def board_watts() -> float | None:
    """Read the power of the board.

    Returns:
        Watts at this moment, or None if the board does not measure its power.
    """
    answer = firmware_answer("pmic_read_adc")
    return None if answer is None else rail_watts(answer)


def energy_of(watts: Sequence[float], mean_frame_ms: float) -> Energy | None:
    """Return the energy per frame.

    Args:
        watts: Power readings taken while one model ran.
        mean_frame_ms: Mean latency of a frame in milliseconds.

    Returns:
        The energy, or None without readings.
    """
    # Watts times milliseconds are millijoules.
    return Energy(n=len(watts), mean_watts=fmean(watts), mj_per_frame=fmean(watts) * mean_frame_ms) if watts else None


class PowerMeter:
    """Owns a thread that reads the board's power at intervals and assigns each reading to the model that was running.

    On a board that does not measure its power there is no thread.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._turn: tuple[Hashable] | None = None
        self._watts: dict[Hashable, list[float]] = defaultdict(list)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read_repeatedly, name="power meter", daemon=True)

    def begin_turn(self, model: Hashable) -> None:
        """Record that the turn of a model begins or continues."""
        if self._turn is None or self._turn[0] != model:
            # A new object, so that a reading can check that the turn was the same before and after it.
            self._turn = (model,)

    def watts_of(self, model: Hashable) -> tuple[float, ...]:
        """Return the readings that lie entirely within turns of a model."""
        return tuple(self._watts[model])

    def __enter__(self) -> Self:
        if board_watts() is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _read_repeatedly(self) -> None:
        while not self._done.wait(self._interval_s):
            turn = self._turn
            watts = board_watts()
            if turn is not None and watts is not None and self._turn is turn:
                self._watts[turn[0]].append(watts)
