"""Main program that all contenders share: it classifies the same frames in blocks, on request.

`CONTENDER.py MODEL FRAMES` loads both and reports this with a line of JSON. Each line on stdin is a number of frames N,
and is answered with a line about the classification of N frames. FRAMES is an `.npy` of pictures as OpenCV's cameras
deliver them: uint8 [frames, height, width, 3], BGR. The environments differ, so only numpy is needed here.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import cycle, islice
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""uint8 HWC BGR."""


class Block(NamedTuple):
    """Measurements of a number of frames; each block starts again with the first frame."""

    seconds: float
    """Time from the start to the last answer."""
    cpu_seconds: float
    """Processor time of all threads during the block."""
    samples_ms: list[float]
    """Times from one answer to the next; the first one from the start."""
    answers: list[int]
    """The best class of each frame."""
    details_ms: dict[str, list[float]]
    """Other measurements of the contender, one number per frame."""


Run = Callable[[int], Block]


def serve(open_contender: Callable[[str, NDArray[np.uint8]], Run], packages: Iterable[str]) -> None:
    """Open the contender, then run blocks until stdin ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        # Output of the libraries goes to stderr.
        os.dup2(2, 1)
        run = open_contender(sys.argv[1], np.load(sys.argv[2]))
        versions = {package: version(package) for package in packages}
        _send(answers, {"versions": {"python": platform.python_version(), **versions}})
        for line in sys.stdin:
            _send(answers, run(int(line))._asdict())


def one_by_one(classify: Callable[[Frame], int], frames: Iterable[Frame]) -> Run:
    """Return the plain loop: a frame, its answer, the next frame."""

    def run(count: int) -> Block:
        samples_ms: list[float] = []
        answers: list[int] = []
        cpu_s = time.process_time()
        started = previous = time.perf_counter_ns()
        for frame in islice(cycle(frames), count):
            answers.append(classify(frame))
            now = time.perf_counter_ns()
            samples_ms.append((now - previous) / 1e6)
            previous = now
        return Block((previous - started) / 1e9, time.process_time() - cpu_s, samples_ms, answers, {})

    return run


def _send(stream: TextIO, record: dict[str, Any]) -> None:
    stream.write(json.dumps(record) + "\n")
    stream.flush()
