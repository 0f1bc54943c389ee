"""Photos that a model was sure about, and wrong: among them are mislabelled ones, and kinds to collect more of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecnn.core.labels import LabelMap
from edgecnn.train.figure import new_figure, save_figure, shortened
from edgecnn.train.row_store import Rows

_SHOWN = 24
_COLUMNS = 6


class Mistake(NamedTuple):
    """A photo that was taken for another class."""

    photo: int
    truth: int
    decision: int
    score: float
    """The probability of the decision."""


def most_confident_mistakes(
    probabilities: NDArray[np.float32], truth: NDArray[np.int64], limit: int = _SHOWN
) -> tuple[Mistake, ...]:
    """The wrong decisions with the highest scores, highest first, of `[n, classes]` probabilities and `[n]` classes."""
    decisions, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    (wrong,) = np.nonzero(decisions != truth)
    # A stable order: int8 scores are multiples of 1/256, and many are alike.
    worst = wrong[np.argsort(-scores[wrong], kind="stable")][:limit]
    return tuple(Mistake(int(index), int(truth[index]), int(decisions[index]), float(scores[index])) for index in worst)


def plot_mistakes(
    pixels: NDArray[np.uint8] | Rows,
    probabilities: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: LabelMap,
    names: Sequence[str],
    path: Path,
) -> None:
    """Up to 24 of the most confident mistakes, each with truth, decision, score and the photo's name.

    `pixels` are the prepared photos `[n, height, width, 3 or 1]`, `probabilities` `[n, classes]`, `truth` and `names`
    `[n]`. Where nothing was wrong the picture says so, and thus an older one goes.
    """
    mistakes = most_confident_mistakes(probabilities, truth)
    count = int((probabilities.argmax(axis=1) != truth).sum())
    rows, columns = -(-len(mistakes) // _COLUMNS), min(_COLUMNS, max(4, len(mistakes)))
    figure = new_figure(1.9 * columns, 0.5 + 2.5 * rows)
    figure.suptitle(_title(len(mistakes), count, len(truth)), fontsize=11)
    for place, mistake in enumerate(mistakes, start=1):
        axes = figure.add_subplot(rows, columns, place)
        _show(axes, pixels[mistake.photo], mistake, labels, names[mistake.photo])
    save_figure(figure, path)


def _title(shown: int, mistakes: int, photos: int) -> str:
    if not mistakes:
        return f"no mistakes on {photos} photos"
    which = f"all {mistakes}" if shown == mistakes else f"the {shown} most confident of {mistakes}"
    return f"{which} mistakes on {photos} photos: truth → decision (score)"


def _show(axes: Any, image: NDArray[np.uint8], mistake: Mistake, labels: LabelMap, name: str) -> None:
    axes.set_axis_off()
    axes.imshow(image.squeeze(axis=2) if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
    truth, decision = shortened(labels[mistake.truth], 28), shortened(labels[mistake.decision], 22)
    # A name may hold dollar signs, and is not to be typeset as a formula.
    axes.set_title(f"{truth}\n→ {decision} ({mistake.score:.2f})", fontsize=8, parse_math=False)
    axes.text(
        0.5, -0.03, shortened(name, 30), transform=axes.transAxes, ha="center", va="top", fontsize=6, parse_math=False
    )
