"""A video made of photos: a source that every machine has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from edgecnn.core.atomic import atomic_path
from edgecnn.core.dataset import Example
from edgecnn.core.errors import WriteError
from edgecnn.core.images import read_image
from edgecnn.core.preprocess import PreprocessSpec, preprocess

HEIGHT, WIDTH, FPS = 480, 640, 10


def write_video(path: Path, examples: Sequence[Example]) -> None:
    """Writes 640x480 Motion-JPEG, 10 frames a second, a frame a photo, the whole photo in the middle of it."""
    spec = PreprocessSpec(height=HEIGHT, width=WIDTH, resize="letterbox", mean=(127,) * 3, std=(128,) * 3)
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
        if not writer.isOpened():
            raise WriteError(f"OpenCV cannot write Motion-JPEG to {path}")
        for example in examples:
            writer.write(cv2.cvtColor(preprocess(read_image(example.path), spec), cv2.COLOR_RGB2BGR))
        writer.release()
