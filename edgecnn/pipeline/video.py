"""A video made of photos, a source for live runs that every machine has."""

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
    """Write a video that shows one photo per frame.

    The video is 640x480 Motion-JPEG with 10 frames per second. Photos are scaled to fit and padded, so that no part of
    them is cut off.

    Args:
        path: Video file to write (.avi).
        examples: Photos, in the order of the frames.

    Raises:
        DataError: If a photo cannot be read.
        WriteError: If OpenCV cannot write the video.
    """
    spec = PreprocessSpec(height=HEIGHT, width=WIDTH, resize="letterbox", mean=(127,) * 3, std=(128,) * 3)
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
        if not writer.isOpened():
            raise WriteError(f"OpenCV cannot write Motion-JPEG to {path}")
        for example in examples:
            writer.write(cv2.cvtColor(preprocess(read_image(example.path), spec), cv2.COLOR_RGB2BGR))
        writer.release()
