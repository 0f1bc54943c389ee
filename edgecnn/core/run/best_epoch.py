"""Which epoch of a training is the best: the one whose weights are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecnn.core.run.run_folder import EpochRecord, Phase, QatRecord


def lowest_is_best(monitor: str) -> bool:
    """Whether of a figure that can be monitored less is better; of all but the loss more is."""
    return monitor == "val_loss"


def best_epochs(history: Sequence[EpochRecord], monitor: str, qat: QatRecord | None = None) -> dict[Phase, int]:
    """The number of the best epoch of each phase by what it monitored, the first of equals.

    Of quantization-aware training it is what `qat` says, 0 for the calibrated start. A phase of which no epoch could be
    measured has none.
    """
    best: dict[Phase, EpochRecord] = {}
    for epoch in history:
        if epoch.phase == "qat" or math.isnan(epoch.monitored):
            continue
        before = best.get(epoch.phase)
        if before is None or _is_better(epoch.monitored, before.monitored, monitor):
            best[epoch.phase] = epoch
    numbers = {phase: epoch.epoch for phase, epoch in best.items()}
    return numbers | ({"qat": qat.best_epoch} if qat else {})


def _is_better(value: float, before: float, monitor: str) -> bool:
    return value < before if lowest_is_best(monitor) else value > before
