"""What a model costs a process of its own, which does nothing but classify with it: time to begin, and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from edgecnn.core.board import peak_rss_bytes
from edgecnn.core.errors import EdgecnnError
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import ModelFile, read_model_file
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.interpreter import find_runtime

_PREDICTIONS = 3
"""The first allocate what they need, the later ones nothing."""


class Alone(NamedTuple):
    """What was found in a process of the model's own."""

    cold_start_ms: float
    """From opening the file to the first prediction; Python and its packages are loaded before."""
    peak_rss_bytes: int | None
    """The most memory that the process has occupied, Python, NumPy, OpenCV and the interpreter included, as in
    `edgecnn run`; None where the system does not tell."""


def measure_alone(model: ModelFile, *, threads: int, height: int, width: int) -> Alone:
    """Classifies frames of `height` x `width` pixels in a new process.

    In this one, whatever was opened first would pay for what all share, and memory could not be told apart. Raises
    `EdgecnnError` if the process could not do it.
    """
    task = {
        "path": str(model.path),
        "labels": model.labels and model.labels.names,
        "preprocess": model.preprocess and model.preprocess.model_dump(),
        "threads": threads,
        "height": height,
        "width": width,
    }
    # The same packages as in this process, wherever they come from; -P keeps the working directory out of the way.
    packages = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    process = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=json.dumps(task),
        env={**os.environ, "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        silent = f"it ended with status {process.returncode}; is enough memory free?"
        reason = (process.stderr.strip().splitlines() or [silent])[-1]
        raise EdgecnnError(f"a process that classifies with {model.path} alone failed: {reason}")
    return Alone(**json.loads(process.stdout))


def _measure(task: dict[str, Any]) -> Alone:
    """What the new process does."""
    labels = LabelMap(tuple(task["labels"])) if task["labels"] else None
    spec = PreprocessSpec(**task["preprocess"]) if task["preprocess"] else None
    model = read_model_file(task["path"]).with_overrides(labels, spec)
    frame = np.full((task["height"], task["width"], 3), 127, np.uint8)
    find_runtime()
    started = time.perf_counter_ns()
    classifier = Classifier(model, threads=task["threads"])
    classifier.classify(frame)
    cold_start_ms = (time.perf_counter_ns() - started) / 1e6
    for _ in range(_PREDICTIONS - 1):
        classifier.classify(frame)
    return Alone(cold_start_ms, peak_rss_bytes())


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_measure(json.load(sys.stdin))._asdict()))
    except EdgecnnError as error:
        sys.exit(str(error))
