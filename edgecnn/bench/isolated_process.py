"""Cold start and memory of a model, measured in a separate process that only classifies with this model."""

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
"""The first ones allocate the memory that they need, later ones none."""


class IsolatedResult(NamedTuple):
    """Measurements of a process that runs only one model."""

    cold_start_ms: float
    """Time from opening the file to the first prediction; Python and its packages are loaded before."""
    peak_rss_bytes: int | None
    """Peak memory of the process, including Python, NumPy, OpenCV and the interpreter, as in `edgecnn run`; None if the
    system does not provide it."""


def measure_isolated(model: ModelFile, *, threads: int, height: int, width: int) -> IsolatedResult:
    """Classify frames in a new process and measure its cold start and memory.

    In this process, whatever is opened first would pay for what all models share, and the memory of the models could
    not be separated.

    Args:
        model: The model.
        threads: Threads of the interpreter.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.

    Returns:
        The measurements.

    Raises:
        EdgecnnError: If the process fails.
    """
    task = {
        "path": str(model.path),
        "labels": model.labels and model.labels.names,
        "preprocess": model.preprocess and model.preprocess.model_dump(),
        "threads": threads,
        "height": height,
        "width": width,
    }
    # The process imports the same packages as this one, wherever they are; -P keeps the working directory out.
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
        raise EdgecnnError(f"a separate process could not classify with {model.path}: {reason}")
    return IsolatedResult(**json.loads(process.stdout))


def _measure(task: dict[str, Any]) -> IsolatedResult:
    """Do the work of the new process."""
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
    return IsolatedResult(cold_start_ms, peak_rss_bytes())


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(_measure(json.load(sys.stdin))._asdict()))
    except EdgecnnError as error:
        sys.exit(str(error))
