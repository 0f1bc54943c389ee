"""A classifier that is right or wrong as a test needs: it recognizes which of red, green and blue is brightest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.model_file import append_associated_files
from tests.pixel_model import pixel_card, pixel_model

COLORS = ("red", "green", "blue")
SIDE_PX = 8


def write_color_model(path: Path, labels: tuple[str, ...] = COLORS, card: ModelCard | None = None) -> Path:
    """Write a model with an input of one pixel; with other `labels` its predictions are wrong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(append_associated_files(pixel_model(1, 1), card or pixel_card(1, 1, labels)))
    return path


def write_color_photos(folder: Path, count: int) -> Path:
    """Write class folders with `count` pictures each, all different."""
    for channel, name in enumerate(COLORS):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            write_color(folder / name / f"{number:03}.png", channel, number)
    return folder


def write_color(path: Path, channel: int, shade: int = 0) -> Path:
    """Write a picture that is bright in one channel (0 is red)."""
    pixels = np.full((SIDE_PX, SIDE_PX, 3), shade % 128, np.uint8)
    pixels[..., channel] = 255
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path
