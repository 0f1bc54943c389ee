"""MediaPipe Tasks' `ImageClassifier` in video mode. Run by `benchmarks/runtime.py`, in its own environment."""

from __future__ import annotations

from itertools import count

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from numpy.typing import NDArray
from serving import Frame, Run, one_by_one, serve

TOP_K = 3
PERIOD_MS = 33


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """Return a contender that converts to RGB; its CPU delegate uses one thread by default, also on a desktop."""
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.VIDEO,
        max_results=TOP_K,
    )
    classifier = vision.ImageClassifier.create_from_options(options)
    # Every timestamp must be later than the one before.
    timestamps_ms = count(0, PERIOD_MS)

    def classify(frame: Frame) -> int:
        pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        result = classifier.classify_for_video(image, next(timestamps_ms))
        return int(result.classifications[0].categories[0].index)

    return one_by_one(classify, frames)


if __name__ == "__main__":
    serve(open_contender, ["mediapipe", "numpy", "opencv-contrib-python"])
