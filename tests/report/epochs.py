"""Epochs for tests of charts."""

from __future__ import annotations

from edgecnn.core.run.run_folder import EpochRecord, Phase


def epoch(number: int, phase: Phase = "head", loss: float = 1.0) -> EpochRecord:
    """Return an epoch of a training that improves."""
    return EpochRecord(
        phase=phase,
        epoch=number,
        loss=loss / number,
        accuracy=1 - 0.5 / number,
        val_loss=1.2 * loss / number,
        val_accuracy=1 - 0.6 / number,
        monitored=1.2 * loss / number,
        learning_rate=1e-3,
    )
