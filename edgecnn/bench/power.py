"""What a board consumes while it works, where it can tell: a Raspberry Pi 5 by its power management chip.

`vcgencmd pmic_read_adc` gives current and voltage of every rail that the chip makes. The sum of their products is what
the board's own electronics take; what hangs on 5 V (USB, fan, HAT) and the converters' losses are not in it.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Hashable, Sequence
from statistics import fmean
from types import TracebackType
from typing import NamedTuple, Self

from edgecnn.core.board import firmware_answer

_CHANNEL = re.compile(
    r"^\s*(?P<rail>\S+)_(?P<quantity>[AV])\s+(?:current|volt)\(\d+\)=(?P<value>\d+\.\d+)(?P=quantity)\s*$"
)


class Energy(NamedTuple):
    """What the board took while one model ran, the share of doing nothing included."""

    n: int
    """Readings of the board's power."""
    mean_watts: float
    mj_per_frame: float
    """Millijoules: mean power times mean time of a frame."""


def rail_watts(answer: str) -> float | None:
    """The sum of volts times amperes over the rails in an answer of `vcgencmd pmic_read_adc`.

    None where there is no rail, as on boards without that chip, or where one has a current and no voltage. The input
    (`EXT5V`) and the clock's battery have a voltage alone, and are no rails.
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
    """The board's power at this moment; None where it does not tell."""
    answer = firmware_answer("pmic_read_adc")
    return None if answer is None else rail_watts(answer)


def energy_of(watts: Sequence[float], mean_frame_ms: float) -> Energy | None:
    """Energy of a frame from readings taken while one model ran; None where there are none."""
    # Watts times milliseconds are millijoules.
    return Energy(len(watts), fmean(watts), fmean(watts) * mean_frame_ms) if watts else None


class PowerMeter:
    """Owns a thread that reads the board's power once in a while, and knows which model was running meanwhile.

    On a board that does not tell there is no thread.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._turn: tuple[Hashable] | None = None
        self._watts: dict[Hashable, list[float]] = defaultdict(list)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="power meter", daemon=True)

    def turn_of(self, model: Hashable) -> None:
        """Tells that the turn of `model` begins, or goes on."""
        if self._turn is None or self._turn[0] != model:
            # A new object, by which a reading knows whether the turn was the same before and after it.
            self._turn = (model,)

    def watts_of(self, model: Hashable) -> tuple[float, ...]:
        """The readings that lie wholly in turns of `model`."""
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

    def _read_on(self) -> None:
        while not self._done.wait(self._interval_s):
            turn = self._turn
            watts = board_watts()
            if turn is not None and watts is not None and self._turn is turn:
                self._watts[turn[0]].append(watts)
