"""Measuring models in turns, in short blocks, so that a processor that slows down affects all of them equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from edgecnn.bench.conditions import Watch
from edgecnn.bench.power import PowerMeter
from edgecnn.core.frame import StageLatency
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.preprocess import Image
from edgecnn.core.records.benchmark import Protocol
from edgecnn.runtime.inference.classifier import Classifier


class Contender:
    """A model that is measured with one number of threads."""

    def __init__(self, model: ModelFile, threads: int, frames: Iterator[Image], protocol: Protocol) -> None:
        """Open the model and warm it up.

        Args:
            model: The model.
            threads: Threads of the interpreter.
            frames: Endless frames.
            protocol: Protocol with the number of warm-up predictions.

        Raises:
            InputError: If the model cannot be run.
        """
        self._classifier = Classifier(model, threads=threads)
        self.model = model
        self.threads = threads
        self.samples: list[StageLatency] = []
        for _ in range(protocol.warm_up):
            self._classifier.classify(next(frames))

    def take_turn(self, frames: Iterator[Image], block: int) -> None:
        """Make one prediction that is not counted, then `block` predictions that are.

        Args:
            frames: Endless frames.
            block: Number of samples.
        """
        self._classifier.classify(next(frames))
        self.samples.extend(self._classifier.classify(next(frames)).latency_ms for _ in range(block))


def take_turns(
    contenders: Sequence[Contender],
    frames: Iterator[Image],
    protocol: Protocol,
    *,
    watch: Watch,
    meter: PowerMeter,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Measure contenders in turns until the protocol ends the measurement.

    Args:
        contenders: Models that have been warmed up; they collect their own samples.
        frames: Endless frames.
        protocol: Block size and end of the measurement.
        watch: Polled between turns.
        meter: Informed of the contender whose turn it is.
        progress: Called with `(done, total)` samples after every turn, see `benchmark`.
    """
    started = time.perf_counter()
    total = protocol.queries * len(contenders)
    seconds, count = 0.0, 0
    while seconds < protocol.max_seconds and (count < protocol.queries or seconds < protocol.min_seconds):
        for contender in contenders:
            meter.begin_turn(contender)
            contender.take_turn(frames, protocol.block)
        watch.poll()
        seconds, count = time.perf_counter() - started, count + protocol.block
        if progress:
            progress(round(total * _share_done(seconds, count, protocol)), total)


def _share_done(seconds: float, count: int, protocol: Protocol) -> float:
    """Return the share of the condition, queries or time, that takes longer."""
    share_of_time = seconds / protocol.min_seconds if protocol.min_seconds else 1.0
    return min(1.0, share_of_time, count / protocol.queries)
