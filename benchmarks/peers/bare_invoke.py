"""The interpreter alone, repeated on one frame: the minimum time of a frame.

Run by `benchmarks/runtime.py`.
"""

from __future__ import annotations

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from serving import Frame, Run, one_by_one, serve


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """Return a contender that answers every frame with the class of the first one."""
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    _, height, width, _ = details["shape"]
    picture = cv2.resize(cv2.cvtColor(frames[0], cv2.COLOR_BGR2RGB), (width, height))
    interpreter.set_tensor(details["index"], picture[None])
    interpreter.invoke()
    best = int(np.argmax(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])))

    def classify(_: Frame) -> int:
        interpreter.invoke()
        return best

    return one_by_one(classify, frames)


if __name__ == "__main__":
    serve(open_contender, ["ai-edge-litert", "numpy"])
