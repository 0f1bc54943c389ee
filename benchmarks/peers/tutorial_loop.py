"""OpenCV and LiteRT combined as in tutorials. Run by `benchmarks/runtime.py`."""

from __future__ import annotations

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from serving import Frame, Run, one_by_one, serve


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """Return a contender that stretches the whole picture to the model's size and only computes the best class."""
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    input_details = interpreter.get_input_details()
    output_details = interpreter.get_output_details()
    height, width = input_details[0]["shape"][1:3]

    def classify(frame: Frame) -> int:
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        input_data = np.expand_dims(image, axis=0)
        interpreter.set_tensor(input_details[0]["index"], input_data)
        interpreter.invoke()
        output_data = interpreter.get_tensor(output_details[0]["index"])
        return int(np.argmax(output_data[0]))

    return one_by_one(classify, frames)


if __name__ == "__main__":
    serve(open_contender, ["ai-edge-litert", "numpy", "opencv-python"])
