"""Synthetic pictures with structure at every scale, like photos; no two are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgecnn.core.preprocess import Image


def scene(seed: int, height: int = 160, width: int = 200) -> Image:
    """Return a picture of clouds and blocks, uint8 RGB."""
    random = np.random.default_rng(seed)
    picture: NDArray[Any] = np.zeros((height, width, 3), np.float32)
    for cells in (3, 6, 12, 24):
        coarse = random.normal(size=(cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(8):
        left, top = int(random.integers(0, width)), int(random.integers(0, height))
        corner = left + width // 6, top + height // 6
        cv2.rectangle(picture, (left, top), corner, random.normal(size=3).tolist(), thickness=-1)
    return np.asarray(cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def write_picture(path: Path, picture: Image, *options: int) -> Path:
    """Write a picture in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[:, :, ::-1], options)
    return path


def write_scenes(folder: Path, classes: tuple[str, ...] = ("cat", "owl"), count: int = 20, first: int = 0) -> Path:
    """Write class folders of `count` scenes each."""
    for number, name in enumerate(classes):
        for index in range(count):
            write_picture(folder / name / f"{index:03}.png", scene(first + 1000 * number + index, 40, 48))
    return folder
