"""Models that are measured in turns, in short blocks, so that a processor that slows down does so to all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from edgecnn.bench.conditions import Watch
from edgecnn.bench.power import PowerMeter
from edgecnn.bench.protocol import Protocol
from edgecnn.core.frame import StageLatency
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.preprocess import Image
from edgecnn.runtime.inference.classifier import Classifier


class Lane:
    """A model that is being measured, with a number of threads."""

    def __init__(self, model: ModelFile, threads: int, frames: Iterator[Image], protocol: Protocol) -> None:
        """Opens the model and warms it up. Raises `InputError`."""
        self._classifier = Classifier(model, threads=threads)
        self.model = model
        self.threads = threads
        self.samples: list[StageLatency] = []
        for _ in range(protocol.warm_up):
            self._classifier.classify(next(frames))

    def take_turn(self, frames: Iterator[Image], block: int) -> None:
        """A prediction that is not counted, and `block` that are."""
        self._classifier.classify(next(frames))
        self.samples.extend(self._classifier.classify(next(frames)).latency_ms for _ in range(block))


def take_turns(
    lanes: Sequence[Lane],
    frames: Iterator[Image],
    protocol: Protocol,
    *,
    watch: Watch,
    meter: PowerMeter,
    progress: Callable[[int, int], None] | None,
) -> None:
    """The measured part; see `Protocol` for when it ends, and `benchmark` for `progress`."""
    started = time.perf_counter()
    total = protocol.queries * len(lanes)
    seconds, count = 0.0, 0
    while seconds < protocol.max_seconds and (count < protocol.queries or seconds < protocol.min_seconds):
        for lane in lanes:
            meter.turn_of(lane)
            lane.take_turn(frames, protocol.block)
        watch.look()
        seconds, count = time.perf_counter() - started, count + protocol.block
        if progress:
            progress(round(total * _share_done(seconds, count, protocol)), total)


def _share_done(seconds: float, count: int, protocol: Protocol) -> float:
    """By the condition that takes longer."""
    in_time = seconds / protocol.min_seconds if protocol.min_seconds else 1.0
    return min(1.0, in_time, count / protocol.queries)
