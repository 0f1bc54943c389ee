from __future__ import annotations

import pytest

from edgecnn.core.run.best_epoch import best_epochs
from edgecnn.core.run.run_folder import EpochRecord, Phase, QatRecord
from edgecnn.core.settings.command_settings import QatSettings

NAN = float("nan")


def epochs(phase: Phase, *monitored: float) -> list[EpochRecord]:
    others = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, "learning_rate": 1e-3}
    return [
        EpochRecord(phase=phase, epoch=number, monitored=value, **others)
        for number, value in enumerate(monitored, start=1)
    ]


@pytest.mark.parametrize(("monitor", "best"), [("val_loss", 2), ("val_accuracy", 1), ("val_recall:cat", 1)])
def test_the_lowest_loss_is_best_and_the_highest_value_of_other_metrics(monitor: str, best: int) -> None:
    assert best_epochs(epochs("head", 0.9, 0.1, 0.5), monitor) == {"head": best}


@pytest.mark.parametrize("kept", [0, 2])
def test_each_phase_has_a_best_epoch_and_qat_reports_its_own(kept: int) -> None:
    history = [*epochs("head", 0.9, 0.1, 0.1), *epochs("fine_tune", 0.7), *epochs("qat", 0.8, 0.9)]
    qat = QatRecord(settings=QatSettings(), best_epoch=kept, val_accuracy=0.9, start_val_accuracy=0.9)
    assert best_epochs(history, "val_loss", qat) == {"head": 2, "fine_tune": 1, "qat": kept}


def test_an_epoch_without_a_value_is_never_the_best() -> None:
    assert best_epochs(epochs("head", NAN, NAN), "val_loss") == {}
    assert best_epochs(epochs("head", NAN, 0.4, NAN), "val_accuracy") == {"head": 2}
