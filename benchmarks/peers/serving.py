"""What the program of every contender does: the same frames, in blocks, each when it is told to.

`CONTENDER.py MODEL FRAMES` loads both, says so with a line of JSON, and answers each line of stdin, a number of frames,
with a line that tells how it went through so many. FRAMES is an `.npy` of pictures as OpenCV's cameras give them: uint8
[frames, height, width, 3], BGR. The environments differ, so nothing here needs more than numpy.
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
    """How a contender went through a number of frames; each block begins with the first frame again."""

    seconds: float
    """From the start to the last answer."""
    cpu_seconds: float
    """Processor time of all its threads meanwhile."""
    samples_ms: list[float]
    """From one answer to the next, the first from the start."""
    answers: list[int]
    """The best class of each frame."""
    details_ms: dict[str, list[float]]
    """What else the contender knows, a number a frame."""


Run = Callable[[int], Block]


def serve(open_contender: Callable[[str, NDArray[np.uint8]], Run], packages: Iterable[str]) -> None:
    """Opens the contender, then runs blocks until stdin ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        # What the libraries print goes to stderr.
        os.dup2(2, 1)
        run = open_contender(sys.argv[1], np.load(sys.argv[2]))
        found = {package: version(package) for package in packages}
        _tell(answers, {"versions": {"python": platform.python_version(), **found}})
        for line in sys.stdin:
            _tell(answers, run(int(line))._asdict())


def one_by_one(classify: Callable[[Frame], int], frames: Iterable[Frame]) -> Run:
    """The plain loop: a frame, its answer, the next frame."""

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


def _tell(stream: TextIO, record: dict[str, Any]) -> None:
    stream.write(json.dumps(record) + "\n")
    stream.flush()
