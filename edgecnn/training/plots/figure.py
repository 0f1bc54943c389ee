"""Drawing into a PNG, without a screen."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgecnn.core.atomic import atomic_path

_COMPRESSION = 3
"""Of 9. Photos become a tenth larger than at the usual 6, in less than half the time."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """A figure that is drawn without a screen."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, atomically. What no font here can write becomes a box. Raises `WriteError`."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(temporary, dpi=110, format="png", pil_kwargs={"compress_level": _COMPRESSION})


def shortened(text: str, characters: int) -> str:
    """A text with its middle left out, if it has more than so many characters."""
    half = (characters - 1) // 2
    return text if len(text) <= characters else f"{text[:half]}…{text[-half:]}"
