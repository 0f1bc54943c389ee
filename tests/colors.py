"""A classifier that can be made to be right or wrong at will: it says which of red, green and blue is the brightest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.model_file.model_file import append_associated_files
from tests.pixel_model import pixel_card, pixel_model

COLOURS = ("red", "green", "blue")
SIDE_PX = 8


def write_color_model(path: Path, labels: tuple[str, ...] = COLOURS, card: ModelCard | None = None) -> Path:
    """A model of one pixel; with other `labels` it is wrong about what it sees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(append_associated_files(pixel_model(1, 1), card or pixel_card(1, 1, labels)))
    return path


def write_color_photos(folder: Path, count: int) -> Path:
    """Class folders of `count` pictures each, no two alike."""
    for channel, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            write_color(folder / name / f"{number:03}.png", channel, number)
    return folder


def write_color(path: Path, channel: int, shade: int = 0) -> Path:
    """A picture that is bright in one channel (0 is red)."""
    pixels = np.full((SIDE_PX, SIDE_PX, 3), shade % 128, np.uint8)
    pixels[..., channel] = 255
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path
