"""Choice of the number of threads for a model on this machine, by measuring it for about a second on a PC."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from statistics import median

import numpy as np

from edgecnn.core.errors import InputError
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.preprocess import Image
from edgecnn.core.processors import usable_processors
from edgecnn.runtime.inference.classifier import Classifier
from edgecnn.runtime.inference.delegate import DelegateRequest

TOLERANCE = 0.05
"""Fraction by which a choice of fewer threads may be slower than the fastest one."""

_MIN_S = 1.0
"""Minimum duration of the measurement."""
_MIN_ROUNDS = 3
"""Minimum number of turns for each number of threads, so that no single outlier decides the median. A slow model needs
longer than `_MIN_S` for them."""
_LIMIT_S = 4.0
"""Time after which no further turn starts, counted from before the first interpreter is opened."""
_TURN_S = 0.03
"""Duration of a turn."""


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """The chosen number of threads and the measurements behind it."""

    threads: int
    invoke_ms: dict[int, float]
    """Median time of an invoke by number of threads, in milliseconds; empty if there was nothing to choose."""


def parse_threads(text: str) -> int | None:
    """Parse the value of `--threads`.

    Args:
        text: A number of 1 or more, or `auto`.

    Returns:
        The number; None for `auto`.

    Raises:
        InputError: The text is neither.
    """
    if text.strip() == "auto":
        return None
    try:
        threads = int(text)
    except ValueError:
        threads = 0
    if threads < 1:
        raise InputError(f"expected threads as a number of 1 or more, or auto, got {text!r}")
    return threads


def pick_threads(
    model: ModelFile, *, delegate: DelegateRequest | None = None, max_threads: int | None = None
) -> ThreadChoice:
    """Measure a model with 1, 2, 4 ... threads and choose the best number.

    Each number of threads has its own interpreter, and they take turns, so that a processor that slows down affects all
    of them. The largest numbers are measured first. If the model is too slow to measure all numbers in a few seconds,
    the choice is among those that were measured.

    Args:
        model: Model file with labels and preprocessing.
        delegate: Delegate to use; None for the processor.
        max_threads: Largest number to try; by default, the number of processors that this process may keep busy.

    Returns:
        The choice and the measured times.

    Raises:
        InputError: `max_threads` is less than 1, or `Classifier` cannot open the model.
        MissingDependency: No TFLite interpreter is installed.
    """
    max_threads = usable_processors() if max_threads is None else max_threads
    if max_threads < 1:
        raise InputError(f"expected max_threads of 1 or more, got {max_threads}")
    if max_threads == 1:
        return ThreadChoice(1, {})
    invoke_ms = _measure(model, thread_counts(max_threads), delegate)
    return ThreadChoice(choose_threads(invoke_ms), invoke_ms)


def thread_counts(max_threads: int) -> tuple[int, ...]:
    """Return the numbers of threads to measure.

    Args:
        max_threads: Largest number, at least 1.

    Returns:
        The powers of two below `max_threads`, and `max_threads`, in ascending order.
    """
    return (*(1 << power for power in range((max_threads - 1).bit_length())), max_threads)


def choose_threads(invoke_ms: Mapping[int, float]) -> int:
    """Return the smallest number of threads within `TOLERANCE` of the fastest: a small gain is not worth a core.

    Args:
        invoke_ms: Time of an invoke in milliseconds by number of threads; not empty.

    Returns:
        One of the numbers of threads.
    """
    fast_enough_ms = min(invoke_ms.values()) * (1 + TOLERANCE)
    return min(threads for threads, spent_ms in invoke_ms.items() if spent_ms <= fast_enough_ms)


def _measure(model: ModelFile, counts: tuple[int, ...], delegate: DelegateRequest | None) -> dict[int, float]:
    started_s = time.perf_counter()
    classifiers: dict[int, Classifier] = {}
    # Start with the most threads: a slow model may have no time for the others, and is probably fastest there.
    for threads in reversed(counts):
        if not classifiers or time.perf_counter() - started_s < _LIMIT_S:
            classifiers[threads] = Classifier(model, threads=threads, top_k=1, delegate=delegate)
    spec = next(iter(classifiers.values())).preprocess
    picture = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
    samples_ms: dict[int, list[float]] = {threads: [] for threads in classifiers}
    for turn, (threads, classifier) in enumerate(cycle(classifiers.items())):
        spent_s = time.perf_counter() - started_s
        enough = spent_s >= _MIN_S and turn >= _MIN_ROUNDS * len(classifiers)
        if enough or (turn and spent_s >= _LIMIT_S):
            break
        samples_ms[threads] += _measure_turn(classifier, picture)
    return {threads: median(samples_ms[threads]) for threads in counts if samples_ms.get(threads)}


def _measure_turn(classifier: Classifier, picture: Image) -> list[float]:
    """Return the times of the invokes of one turn, in milliseconds.

    The first invoke also fills the caches that other interpreters used before. It counts only if it is the only one.
    """
    until_s = time.perf_counter() + _TURN_S
    times_ms = [classifier.classify(picture).latency_ms.invoke]
    while time.perf_counter() < until_s:
        times_ms.append(classifier.classify(picture).latency_ms.invoke)
    return times_ms[1:] or times_ms
