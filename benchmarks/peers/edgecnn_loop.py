"""edgecnn's own live loop over frames in memory. Run by `benchmarks/runtime.py`."""

from __future__ import annotations

import time
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from serving import Block, Run, serve

from edgecnn.core.frame import Frame
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.inference.classifier import Classifier, load_model
from edgecnn.runtime.live.loop import LoopSettings, run_loop
from edgecnn.runtime.sinks import Result
from edgecnn.runtime.sources.capture import rgb_of

TOP_K = 3
"""The default of `edgecnn run`."""


class FramesInMemory(Closeable):
    """An endless source without pauses, whose frames cost as much as OpenCV's after decoding."""

    name = "frames in memory"
    live = False
    dropped = 0
    bad_pictures = 0
    unreadable: tuple[str, ...] = ()

    def __init__(self, frames: NDArray[np.uint8]) -> None:
        self._frames = enumerate(cycle(frames))

    def read(self, reuse: Image | None = None) -> Frame:
        """Return the next frame, converted to RGB by the code that is used for cameras."""
        number, decoded = next(self._frames)
        captured_at, captured_ns = time.time(), time.monotonic_ns()
        pixels = rgb_of(decoded, self.name, reuse)
        return Frame(
            pixels, self.name, number, captured_at, captured_ns, capture_ms=(time.monotonic_ns() - captured_ns) / 1e6
        )

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def open_contender(model: str, frames: NDArray[np.uint8]) -> Run:
    """Return a contender that starts a new loop for each block; a block ends with its last result."""
    classifier = Classifier(load_model(model), threads=1, top_k=TOP_K)

    def run(count: int) -> Block:
        arrived_ns: list[int] = []
        results: list[tuple[int, float, float]] = []

        def sink(result: Result, /) -> None:
            results.append((result.prediction.best.index, result.prediction.latency_ms.invoke, result.age_ms))
            arrived_ns.append(time.perf_counter_ns())

        cpu_s = time.process_time()
        started_ns = time.perf_counter_ns()
        with FramesInMemory(frames) as source:
            run_loop(classifier, [source], [sink], LoopSettings(max_frames=count))
        cpu_s = time.process_time() - cpu_s
        answers, invoke_ms, age_ms = (list(column) for column in zip(*results, strict=True))
        samples_ms = [(now - before) / 1e6 for before, now in zip([started_ns, *arrived_ns], arrived_ns, strict=False)]
        details_ms = {"invoke": invoke_ms, "age": age_ms}
        return Block((arrived_ns[-1] - started_ns) / 1e9, cpu_s, samples_ms, answers, details_ms)

    return run


if __name__ == "__main__":
    serve(open_contender, ["edgecnn", "ai-edge-litert", "numpy", "opencv-python"])
