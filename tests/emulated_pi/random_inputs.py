"""Program that prints the outputs of a uint8 or float32 model for random inputs, one per line, in hex.

    python random_inputs.py MODEL COUNT

Host and device run the same program, so that only the machine differs.
"""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    model, count = sys.argv[1], int(sys.argv[2])
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    random = np.random.default_rng(0)
    for _ in range(count):
        pixels = random.integers(0, 256, image["shape"], dtype=np.uint8)
        interpreter.set_tensor(image["index"], pixels.astype(image["dtype"]))
        interpreter.invoke()
        print(interpreter.get_tensor(scores["index"]).tobytes().hex())


if __name__ == "__main__":
    main()
