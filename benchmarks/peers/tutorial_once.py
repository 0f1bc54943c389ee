"""OpenCV and LiteRT combined as in tutorials, for one picture: `tutorial_once.py MODEL IMAGE` prints its class.

Run by `benchmarks/start.py`.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model: str, path: str) -> None:
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    input_details = interpreter.get_input_details()
    output_details = interpreter.get_output_details()
    height, width = input_details[0]["shape"][1:3]
    frame = cv2.imread(path)
    assert frame is not None
    image = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), (width, height), interpolation=cv2.INTER_LINEAR)
    interpreter.set_tensor(input_details[0]["index"], np.expand_dims(image, axis=0))
    interpreter.invoke()
    print(int(np.argmax(interpreter.get_tensor(output_details[0]["index"])[0])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
