"""teachable-machine-lite as its README uses it, without the drawing: pictures are passed as a JPEG file.

Run by `benchmarks/runtime.py`, in its own environment.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from serving import Frame, Run, one_by_one, serve
from teachable_machine_lite import TeachableMachineLite

MAX_CLASSES = 1001


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """Return a contender with a label file, which it requires, of numbers; its JPEG is in a temporary folder."""
    folder = tempfile.TemporaryDirectory()
    labels = Path(folder.name) / "labels.txt"
    labels.write_text("\n".join(str(index) for index in range(MAX_CLASSES)))
    classifier = TeachableMachineLite(model_path=model, labels_file_path=str(labels))

    def classify(frame: Frame) -> int:
        # The folder exists as long as this function refers to it.
        picture = f"{folder.name}/screenshot.jpg"
        cv2.imwrite(picture, frame)
        return int(classifier.classify_image(picture)["id"])

    return one_by_one(classify, frames)


if __name__ == "__main__":
    serve(open_contender, ["teachable-machine-lite", "tflite-runtime", "numpy", "opencv-python-headless"])
