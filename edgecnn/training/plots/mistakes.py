"""Photos that a model confidently got wrong: mislabeled ones are among them, and kinds to collect more of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.report.markup import shortened
from edgecnn.training.features.row_store import Rows
from edgecnn.training.plots.figure import new_figure, save_figure

_SHOWN = 24
_COLUMNS = 6
_CELL_INCHES, _ROW_INCHES, _PHOTO_INCHES, _TITLE_INCHES = 1.9, 2.45, 1.78, 0.4


class Mistake(NamedTuple):
    """A photo with a wrong decision."""

    photo: int
    """Index of the photo."""
    truth: int
    decision: int
    score: float
    """Probability of the decision."""


def most_confident_mistakes(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], limit: int = _SHOWN
) -> tuple[Mistake, ...]:
    """Find the wrong decisions with the highest scores.

    Args:
        probabilities: `[n, classes]`.
        truth: `[n]` class indices.
        limit: Maximum number of mistakes.

    Returns:
        Mistakes, highest score first.
    """
    decisions, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    (wrong,) = np.nonzero(decisions != truth)
    # A stable order: int8 scores are multiples of 1/256, and many are equal.
    worst = wrong[np.argsort(-scores[wrong], kind="stable")][:limit]
    return tuple(Mistake(int(index), int(truth[index]), int(decisions[index]), float(scores[index])) for index in worst)


def plot_mistakes(
    pixels: NDArray[np.uint8] | Rows,
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    path: Path,
    *,
    labels: LabelMap,
    names: Sequence[str],
) -> None:
    """Draw up to 24 of the most confident mistakes, each with truth, decision, score and the photo's name.

    If there are no mistakes the picture says so, which also replaces an older picture.

    Args:
        pixels: `[n, height, width, 3 or 1]` uint8, preprocessed photos.
        probabilities: `[n, classes]`.
        truth: `[n]` class indices.
        path: PNG file to write.
        labels: Class names.
        names: `[n]` names of the photos.

    Raises:
        WriteError: If the file cannot be written.
    """
    mistakes = most_confident_mistakes(probabilities, truth)
    count = int((probabilities.argmax(axis=1) != truth).sum())
    rows, columns = -(-len(mistakes) // _COLUMNS), min(_COLUMNS, max(4, len(mistakes)))
    axes = _sheet(columns * _CELL_INCHES, _TITLE_INCHES + rows * _ROW_INCHES)
    title = _title(len(mistakes), count, len(truth))
    axes.text(columns * _CELL_INCHES / 2, 0.2, title, ha="center", va="center", fontsize=11)
    for index, mistake in enumerate(mistakes):
        row, column = divmod(index, _COLUMNS)
        middle, top = (column + 0.5) * _CELL_INCHES, _TITLE_INCHES + row * _ROW_INCHES
        _show(axes, (middle, top), pixels[mistake.photo], _caption(mistake, labels), name=names[mistake.photo])
    save_figure(axes.figure, path)


def _sheet(width_inches: float, height_inches: float) -> Any:
    """Return axes over a whole figure, in inches from its upper left corner; one per photo would be slow to draw."""
    figure = new_figure(width_inches, height_inches)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    axes.set(xlim=(0, width_inches), ylim=(height_inches, 0))
    return axes


def _title(shown: int, mistakes: int, photos: int) -> str:
    if not mistakes:
        return f"no mistakes on {photos} photos"
    which = f"all {mistakes}" if shown == mistakes else f"the {shown} most confident of {mistakes}"
    return f"{which} mistakes on {photos} photos: truth → decision (score)"


def _caption(mistake: Mistake, labels: LabelMap) -> str:
    truth, decision = shortened(labels[mistake.truth], 28), shortened(labels[mistake.decision], 22)
    return f"{truth}\n→ {decision} ({mistake.score:.2f})"


def _show(axes: Any, position: tuple[float, float], image: NDArray[np.uint8], caption: str, *, name: str) -> None:
    """Draw a photo below its caption and above its name; `position` is the middle of its upper edge."""
    middle, top = position
    # A name may contain dollar signs, which must not be typeset as a formula.
    style = {"ha": "center", "va": "center", "parse_math": False}
    axes.text(middle, top + 0.18, caption, fontsize=8, **style)
    scale = _PHOTO_INCHES / max(image.shape[:2])
    high, wide = (side * scale for side in image.shape[:2])
    upper, left = top + 0.36, middle - wide / 2
    axes.imshow(
        image.squeeze(axis=2) if image.shape[2] == 1 else image,
        cmap="gray",
        vmin=0,
        vmax=255,
        aspect="auto",
        extent=(left, left + wide, upper + high, upper),
    )
    axes.text(middle, upper + high + 0.09, shortened(name, 30), fontsize=6, **style)
