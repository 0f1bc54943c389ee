"""OpenCV's own network module, with the float model: it cannot run the int8 file.

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
    """Return a contender with one thread that stretches the whole picture to the model's size."""
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromTFLite(model)
    height, width = input_size(model)

    def classify(frame: Frame) -> int:
        net.setInput(cv2.dnn.blobFromImage(frame, 1 / STD, (width, height), (MEAN, MEAN, MEAN), swapRB=True))
        return int(np.argmax(net.forward()))

    return one_by_one(classify, frames)


def input_size(model: str) -> tuple[int, int]:
    """Return height and width of the input, from an interpreter, since OpenCV does not provide them."""
    from ai_edge_litert.interpreter import Interpreter

    _, height, width, _ = Interpreter(model_path=model).get_input_details()[0]["shape"]
    return int(height), int(width)


if __name__ == "__main__":
    serve(open_contender, ["numpy", "opencv-python"])
