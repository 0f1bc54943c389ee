"""The best epoch of a training phase: the one whose weights are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgecnn.core.run.run_folder import EpochRecord, Phase, QatRecord


def lowest_is_best(monitor: str) -> bool:
    """Return True if lower is better for a monitored metric.

    Args:
        monitor: Value of `TrainSettings.monitor`.

    Returns:
        True only for `val_loss`.
    """
    return monitor == "val_loss"


def best_epochs(history: Sequence[EpochRecord], monitor: str, qat: QatRecord | None = None) -> dict[Phase, int]:
    """Find the best epoch of each phase by the monitored metric; the first one wins a tie.

    Args:
        history: Epochs of all phases.
        monitor: The monitored metric.
        qat: Result of quantization-aware training, which determines the best epoch of that phase.

    Returns:
        Epoch numbers by phase; 0 for `qat` is the calibrated start. A phase in which no epoch could be measured is
        missing.
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
