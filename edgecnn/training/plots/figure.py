"""Drawing PNG pictures without a screen."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgecnn.core.atomic import atomic_path

_COMPRESSION = 3
"""Compression level, at most 9. Pictures become a tenth larger than at the default 6, in less than half the time."""


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Return a figure that needs no screen.

    Args:
        width_inches: Width.
        height_inches: Height.

    Returns:
        An empty figure.
    """
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically. A character that no font contains becomes a box.

    Args:
        figure: The picture.
        path: File to write.

    Raises:
        WriteError: If the file cannot be written.
    """
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(temporary, dpi=110, format="png", pil_kwargs={"compress_level": _COMPRESSION})
