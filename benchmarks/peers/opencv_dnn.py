"""OpenCV's own network module, with the float model: it has no integer arithmetic for this file.

Run by `benchmarks/runtime.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from serving import Frame, Run, one_by_one, serve

MEAN, STD = 127.0, 128.0
"""EfficientNet-Lite's normalization, which OpenCV does not read from the file."""


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """One thread; the whole picture is squashed to the model's size."""
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromTFLite(model)
    height, width = input_size(model)

    def classify(frame: Frame) -> int:
        net.setInput(cv2.dnn.blobFromImage(frame, 1 / STD, (width, height), (MEAN, MEAN, MEAN), swapRB=True))
        return int(np.argmax(net.forward()))

    return one_by_one(classify, frames)


def input_size(model: str) -> tuple[int, int]:
    """Height and width of the input, asked of an interpreter, since OpenCV does not tell."""
    from ai_edge_litert.interpreter import Interpreter

    _, height, width, _ = Interpreter(model_path=model).get_input_details()[0]["shape"]
    return int(height), int(width)


if __name__ == "__main__":
    serve(open_contender, ["numpy", "opencv-python"])
