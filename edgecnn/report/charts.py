"""The charts of a training run: in its report, and as SVG files in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgecnn.core.atomic import write_text
from edgecnn.core.run.run_folder import EpochRecord, Phase
from edgecnn.report.confusion_chart import Counts, confusion_chart
from edgecnn.report.drawing import Drawing, side_by_side, stacked, svg_file
from edgecnn.report.line_chart import Curve, line_chart
from edgecnn.report.markup import element

_GAP = 20
_HEADING_HEIGHT = 24


def epochs_of_phases(history: Sequence[EpochRecord]) -> dict[Phase, list[EpochRecord]]:
    """Group epochs by phase: each phase has its own charts, since the next one measures differently.

    Args:
        history: Epochs of all phases.

    Returns:
        Epochs by phase, phases in order of first occurrence.
    """
    phases: dict[Phase, list[EpochRecord]] = {}
    for epoch in history:
        phases.setdefault(epoch.phase, []).append(epoch)
    return phases


def phase_charts(epochs: Sequence[EpochRecord], best: int | None) -> tuple[Drawing, ...]:
    """Draw loss, accuracy and learning rate of one phase.

    Args:
        epochs: Epochs of the phase.
        best: Number of the best epoch, which is marked. None or 0, the calibrated start, marks nothing.

    Returns:
        Three charts.
    """
    numbers = [epoch.epoch for epoch in epochs]
    quality = (
        line_chart(
            name.capitalize(),
            numbers,
            (
                Curve("training", "training", [getattr(epoch, name) for epoch in epochs]),
                Curve("validation", "validation", [getattr(epoch, f"val_{name}") for epoch in epochs]),
            ),
            best or None,
        )
        for name in ("loss", "accuracy")
    )
    rates = Curve("learning rate", "rate", [epoch.learning_rate for epoch in epochs])
    return (*quality, line_chart("Learning rate", numbers, [rates]))


def phase_title(phase: Phase, epochs: Sequence[EpochRecord], best: int | None) -> str:
    """Return the heading of a phase.

    Args:
        phase: The phase.
        epochs: Its epochs.
        best: Number of the best epoch; 0 is the calibrated start, None is unknown.

    Returns:
        One line.
    """
    count = f"{len(epochs)} epoch{'s' if len(epochs) != 1 else ''}"
    which = "" if best is None else f"; best: epoch {best}" if best else "; best: the calibrated start"
    return f"{phase}, {count}{which}"


def write_learning_curves(history: Sequence[EpochRecord], best_epochs: Mapping[Phase, int], path: Path) -> None:
    """Write an SVG file with a row of charts for each phase.

    Args:
        history: Epochs of all phases, at least one.
        best_epochs: Number of the best epoch by phase.
        path: File to write.

    Raises:
        WriteError: If the file cannot be written.
    """
    rows = []
    for phase, epochs in epochs_of_phases(history).items():
        best = best_epochs.get(phase)
        title = phase_title(phase, epochs, best)
        heading = element("text", title, x=0, y=14, class_="title")
        rows += [Drawing(title, 0, _HEADING_HEIGHT, heading), side_by_side(phase_charts(epochs, best), _GAP)]
    write_text(path, svg_file(stacked(rows, gap=6)))


def write_confusion_matrix(labels: Sequence[str], counts: Counts, path: Path) -> None:
    """Write an SVG file with a confusion matrix.

    Args:
        labels: Class names.
        counts: Photo counts by truth and decision, in the order of `labels`.
        path: File to write.

    Raises:
        WriteError: If the file cannot be written.
    """
    write_text(path, svg_file(confusion_chart(labels, counts)))
