"""The program whose instructions are counted; it runs on the emulated processor.

    python classify_frames.py MODEL FRAMES

It calls sched_yield() to make the counter write down its count: EMPTY times with nothing in between, which shows the
cost of a call, and then BOUNDARIES times per frame: before it, at the boundaries of each stage, where the classifier
reads the clock, and after it. It prints these two numbers.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import cv2

from edgecnn.bench.frames import synthetic_frames
from edgecnn.runtime.inference.classifier import Classifier, load_model

EMPTY, BOUNDARIES = 8, 7
WARM_UP = 2

_clock = time.perf_counter_ns


def mark() -> int:
    """Replace the clock: mark a boundary, then read the real clock."""
    os.sched_yield()
    return _clock()


def main() -> None:
    model, count = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps([EMPTY, BOUNDARIES]))
    # The counter is only correct for one thread.
    cv2.setNumThreads(1)
    classifier = Classifier(load_model(model), threads=1)
    frames = synthetic_frames(480, 640, count, seed=0)
    for frame in frames[:WARM_UP]:
        classifier.classify(frame)
    for _ in range(EMPTY):
        mark()
    time.perf_counter_ns = mark
    for frame in frames:
        mark()
        classifier.classify(frame)
        mark()


if __name__ == "__main__":
    main()
