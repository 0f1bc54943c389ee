"""How many threads suit a model on this machine: measured, in about a second on a PC."""

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
"""By how much of the fastest time a choice of fewer threads may be slower."""

_ENOUGH_S = 1.0
_ENOUGH_ROUNDS = 3
"""For a median that no single outlier decides; a slow model takes longer than `_ENOUGH_S` for them."""
_LIMIT_S = 4.0
"""From when on no further turn is begun; the time counts from before the first interpreter is opened."""
_TURN_S = 0.03


@dataclass(frozen=True, slots=True)
class ThreadChoice:
    """What was measured, and what follows from it."""

    threads: int
    invoke_ms: dict[int, float]
    """Median time of an invoke by number of threads; empty where there was nothing to choose."""


def parse_threads(text: str) -> int | None:
    """Reads a number of threads, or `auto`, for which it returns None. Raises `InputError`."""
    if text.strip() == "auto":
        return None
    try:
        threads = int(text)
    except ValueError:
        threads = 0
    if threads < 1:
        raise InputError(f"expected threads as a number of 1 or more, or auto, got {text!r}")
    return threads


def pick_threads(model: ModelFile, *, delegate: DelegateRequest | None = None, most: int | None = None) -> ThreadChoice:
    """Measures `model` with 1, 2, 4 ... and `most` threads, by default all processors that this process may keep busy.

    Each number has an interpreter of its own, and they take turns, so that a processor that slows down does so to all.
    Of a model too slow to be measured with all of them in a few seconds, those that were are chosen from, the large
    numbers first. Raises what `Classifier` does, and `InputError` for a `most` below 1.
    """
    most = usable_processors() if most is None else most
    if most < 1:
        raise InputError(f"expected 1 thread or more at most, got {most}")
    if most == 1:
        return ThreadChoice(1, {})
    invoke_ms = _measure(model, thread_counts(most), delegate)
    return ThreadChoice(choose_threads(invoke_ms), invoke_ms)


def thread_counts(most: int) -> tuple[int, ...]:
    """The powers of two below `most`, and `most`."""
    return (*(1 << power for power in range((most - 1).bit_length())), most)


def choose_threads(invoke_ms: Mapping[int, float]) -> int:
    """The fewest threads that are within `TOLERANCE` of the fastest: what is hardly faster is not worth a core."""
    fast_enough_ms = min(invoke_ms.values()) * (1 + TOLERANCE)
    return min(threads for threads, spent_ms in invoke_ms.items() if spent_ms <= fast_enough_ms)


def _measure(model: ModelFile, counts: tuple[int, ...], delegate: DelegateRequest | None) -> dict[int, float]:
    began_s = time.perf_counter()
    classifiers: dict[int, Classifier] = {}
    # A slow model is measured first where it is fastest.
    for threads in reversed(counts):
        if not classifiers or time.perf_counter() - began_s < _LIMIT_S:
            classifiers[threads] = Classifier(model, threads=threads, top_k=1, delegate=delegate)
    spec = next(iter(classifiers.values())).preprocess
    picture = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
    samples_ms: dict[int, list[float]] = {threads: [] for threads in classifiers}
    for turn, (threads, classifier) in enumerate(cycle(classifiers.items())):
        spent_s = time.perf_counter() - began_s
        enough = spent_s >= _ENOUGH_S and turn >= _ENOUGH_ROUNDS * len(classifiers)
        if enough or (turn and spent_s >= _LIMIT_S):
            break
        samples_ms[threads] += _turn(classifier, picture)
    return {threads: median(samples_ms[threads]) for threads in counts if samples_ms.get(threads)}


def _turn(classifier: Classifier, picture: Image) -> list[float]:
    """The times of a turn's invokes, in milliseconds.

    The first counts only where the turn has no other: it pays for filling the caches that the others used.
    """
    until_s = time.perf_counter() + _TURN_S
    times_ms = [classifier.classify(picture).latency_ms.invoke]
    while time.perf_counter() < until_s:
        times_ms.append(classifier.classify(picture).latency_ms.invoke)
    return times_ms[1:] or times_ms
