"""Which epoch of a training is the best: the one whose weights are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecnn.core.run_folder import EpochRecord, Phase


def lowest_is_best(monitor: str) -> bool:
    """Whether of a figure that can be monitored less is better; of all but the loss more is."""
    return monitor == "val_loss"


def best_epochs(history: Sequence[EpochRecord], monitor: str) -> dict[Phase, EpochRecord]:
    """The best epoch of each phase by what it monitored, the first of equals.

    Quantisation-aware training goes by accuracy, the other phases by `monitor`. A phase of which no epoch could be
    measured has none.
    """
    best: dict[Phase, EpochRecord] = {}
    for epoch in history:
        before = best.get(epoch.phase)
        if not math.isnan(epoch.monitored) and (before is None or _is_better(epoch, before, monitor)):
            best[epoch.phase] = epoch
    return best


def _is_better(epoch: EpochRecord, before: EpochRecord, monitor: str) -> bool:
    if lowest_is_best(monitor) and epoch.phase != "qat":
        return epoch.monitored < before.monitored
    return epoch.monitored > before.monitored
