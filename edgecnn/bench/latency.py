"""Latency of a model file by stage, beside a baseline where one is given.

The two take turns in short blocks, so that a processor that slows down does so to both. Every sample is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgecnn.bench.environment import (
    Environment,
    MachineState,
    describe_environment,
    environment_record,
    other_busy_cores,
    peak_rss_bytes,
    read_machine_state,
    was_throttled,
)
from edgecnn.core.errors import InputError
from edgecnn.core.frame import StageLatency
from edgecnn.core.model_file import ModelFile, sha256_of
from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import Image
from edgecnn.core.stats import LatencyStats, latency_stats
from edgecnn.runtime.classifier import Classifier
from edgecnn.runtime.interpreter import find_runtime

BENCHMARK_VERSION = 1
STAGES = ("preprocess", "invoke", "postprocess", "total")

_FRAMES = 16

MAX_SPREAD = 3.0
"""p99 over p50 of the total above which the tail is not the model's."""
MAX_SLOWDOWN = 1.25
"""Median of the last quarter over that of the first above which the processor was not the same throughout."""
MAX_OTHERS_SHARE = 0.5
"""Share of the cores that other processes may keep busy."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How latency is measured: until a model has `queries` samples, between `min_seconds` and `max_seconds`."""

    queries: int = 256
    min_seconds: float = 5.0
    """Long enough for the processor's frequency to settle."""
    max_seconds: float = 300.0
    warm_up: int = 16
    """Predictions of each model that are not counted, before the first that is."""
    block: int = 16
    """Samples in a turn. Each turn begins with one more prediction that is not counted: it pays for refilling the
    caches that the other model used."""
    frame_height: int = 480
    frame_width: int = 640

    def __post_init__(self) -> None:
        if min(self.queries, self.block, self.frame_height, self.frame_width) < 1 or self.warm_up < 0:
            raise InputError("expected at least 1 query, a block of 1, a frame of 1x1 pixels and no negative warm-up")
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise InputError(f"expected min_seconds <= max_seconds, got {self.min_seconds:g} and {self.max_seconds:g}")


QUICK = Protocol(queries=64, min_seconds=1.0, max_seconds=30.0, warm_up=4)
"""For a first look: its p99 is the worst sample."""


class ModelIdentity(NamedTuple):
    """Which file was measured, and with how many threads. A file without a model card does not tell its precision."""

    name: str
    sha256: str
    size_bytes: int
    precision: Precision | None
    threads: int


@dataclass(frozen=True, slots=True)
class ModelLatency:
    """Measurements of one model, in milliseconds, in the order they were made."""

    identity: ModelIdentity
    cold_start_ms: float
    """From opening the file to the first prediction; the interpreter package is loaded before."""
    samples: tuple[StageLatency, ...]

    def stage_ms(self, stage: str) -> list[float]:
        """The samples of one of `STAGES`."""
        if stage == "total":
            return [sum(sample) for sample in self.samples]
        return [getattr(sample, stage) for sample in self.samples]

    def stages(self) -> dict[str, LatencyStats]:
        """Summary of every stage."""
        return {stage: latency_stats(self.stage_ms(stage)) for stage in STAGES}


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """A finished benchmark; it is valid when there is no reason against it."""

    model: ModelLatency
    baseline: ModelLatency | None
    environment: Environment
    """As it was before the measurement."""
    protocol: Protocol
    peak_rss_bytes: int | None
    """Of the process after the model's warm-up, before the baseline was opened."""
    invalid_reasons: tuple[str, ...]


def benchmark(
    model: ModelFile,
    *,
    baseline: ModelFile | None = None,
    frames: Sequence[Image],
    threads: int = 1,
    protocol: Protocol | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BenchmarkReport:
    """Measures `model`, and `baseline` in turns with it, on `frames` (uint8 HWC RGB of the protocol's size).

    `progress(done, total)` counts samples of both models. Raises `InputError`.
    """
    protocol = protocol or Protocol()
    _check_frames(frames, protocol)
    find_runtime()
    environment = describe_environment()
    endless = cycle(frames)
    lanes = [_open_lane(model, threads, endless, protocol)]
    peak = peak_rss_bytes()
    if baseline is not None:
        lanes.append(_open_lane(baseline, threads, endless, protocol))

    before = read_machine_state()
    _take_turns(lanes, endless, protocol, progress)
    after = read_machine_state()

    results = [lane.result() for lane in lanes]
    reasons = list(machine_reasons(environment, before, after))
    for result in results:
        reasons.extend(sample_reasons(result, protocol))
    return BenchmarkReport(
        model=results[0],
        baseline=results[1] if baseline else None,
        environment=environment,
        protocol=protocol,
        peak_rss_bytes=peak,
        invalid_reasons=tuple(reasons),
    )


def benchmark_record(report: BenchmarkReport, *, samples: bool = False) -> dict[str, Any]:
    """The JSON object that `edgecnn benchmark --json` prints; with `samples`, what its report file holds.

    `speedup_p50` and `size_ratio` are the baseline's over the model's: 2 is twice as fast, half as large.
    """
    model, baseline = report.model, report.baseline
    record = {
        "format_version": BENCHMARK_VERSION,
        "model": model.identity._asdict(),
        "environment": environment_record(report.environment),
        "protocol": asdict(report.protocol),
        **_times(model),
        "peak_rss_bytes": report.peak_rss_bytes,
        "valid": not report.invalid_reasons,
        "invalid_reasons": list(report.invalid_reasons),
        "baseline": {**baseline.identity._asdict(), **_times(baseline)} if baseline else None,
        "speedup_p50": _p50(baseline) / _p50(model) if baseline else None,
        "size_ratio": baseline.identity.size_bytes / model.identity.size_bytes if baseline else None,
    }
    if samples:
        record["samples"] = {"model": _samples(model), "baseline": _samples(baseline) if baseline else None}
    return record


def frames_for(protocol: Protocol, seed: int = 0) -> list[Image]:
    """`synthetic_frames` of the protocol's size: more of them than fit a small processor's caches."""
    return synthetic_frames(protocol.frame_height, protocol.frame_width, _FRAMES, seed)


def synthetic_frames(height: int, width: int, count: int, seed: int) -> list[Image]:
    """`count` frames like a camera's: large soft shapes, a gradient, sensor noise. The same for the same seed.

    Latency does not depend on what is in a picture, but constant frames would flatter caches and branch prediction.
    """
    random = np.random.default_rng(seed)
    return [_synthetic_frame(height, width, random) for _ in range(count)]


def machine_reasons(environment: Environment, before: MachineState, after: MachineState) -> Iterator[str]:
    """Why the machine's state between `before` and `after` spoils the numbers."""
    if was_throttled(before, after):
        yield "the firmware held the processor back (heat or low voltage): cool the board, use its own power supply"
    cores = environment.cores or 1
    others = other_busy_cores(before, after)
    if others is not None and others > MAX_OTHERS_SHARE * cores:
        yield f"other processes kept {others:.1f} of {cores} cores busy: stop them and measure again"
    elif others is None and (environment.load_average or 0.0) > MAX_OTHERS_SHARE * cores:
        yield f"the load average was {environment.load_average:.1f} on {cores} cores before: let it settle"


def sample_reasons(result: ModelLatency, protocol: Protocol) -> Iterator[str]:
    """Why the samples of a model spoil the numbers."""
    name, totals = result.identity.name, result.stage_ms("total")
    if len(totals) < protocol.queries:
        yield f"{name}: {len(totals)} samples of {protocol.queries} within {protocol.max_seconds:g} s: allow more time"
    if min(min(sample) for sample in result.samples) < 0:
        yield f"{name}: the clock went backward during the measurement"
    stats = latency_stats(totals)
    if stats.p99_ms > MAX_SPREAD * stats.p50_ms:
        spread = stats.p99_ms / stats.p50_ms
        yield f"{name}: p99 is {spread:.1f} times p50, expected {MAX_SPREAD:g} at most: something else ran"
    quarter = len(totals) // 4
    if quarter:
        first, last = np.median(totals[:quarter]), np.median(totals[-quarter:])
        if last > MAX_SLOWDOWN * first:
            yield f"{name}: slowed from {first:.2f} to {last:.2f} ms during the measurement: heat, or another process"


class _Lane:
    """A model that is being measured."""

    def __init__(self, identity: ModelIdentity, classifier: Classifier, cold_start_ms: float) -> None:
        self.identity = identity
        self.classifier = classifier
        self.cold_start_ms = cold_start_ms
        self.samples: list[StageLatency] = []

    def take_turn(self, frames: Iterator[Image], block: int) -> None:
        self.classifier.classify(next(frames))
        self.samples.extend(self.classifier.classify(next(frames)).latency_ms for _ in range(block))

    def result(self) -> ModelLatency:
        return ModelLatency(self.identity, self.cold_start_ms, tuple(self.samples))


def _open_lane(model: ModelFile, threads: int, frames: Iterator[Image], protocol: Protocol) -> _Lane:
    """Opens a model, timing its first prediction, and warms it up."""
    first = next(frames)
    started = time.perf_counter_ns()
    classifier = Classifier(model, threads=threads)
    classifier.classify(first)
    cold_start_ms = (time.perf_counter_ns() - started) / 1e6
    for _ in range(protocol.warm_up):
        classifier.classify(next(frames))
    return _Lane(_identity(model, threads), classifier, cold_start_ms)


def _take_turns(
    lanes: Sequence[_Lane], frames: Iterator[Image], protocol: Protocol, progress: Callable[[int, int], None] | None
) -> None:
    started = time.perf_counter()
    seconds, count = 0.0, 0
    while seconds < protocol.max_seconds and (count < protocol.queries or seconds < protocol.min_seconds):
        for lane in lanes:
            lane.take_turn(frames, protocol.block)
        seconds, count = time.perf_counter() - started, count + protocol.block
        if progress:
            progress(min(count, protocol.queries) * len(lanes), protocol.queries * len(lanes))


def _check_frames(frames: Sequence[Image], protocol: Protocol) -> None:
    if not frames:
        raise InputError("expected frames to measure with, got none")
    expected = (protocol.frame_height, protocol.frame_width, 3)
    for frame in frames:
        if frame.shape != expected:
            raise InputError(f"expected frames of shape {expected}, as the protocol says, got {frame.shape}")


def _identity(model: ModelFile, threads: int) -> ModelIdentity:
    precision = model.card.precision if model.card else None
    return ModelIdentity(model.name, sha256_of(model.path), model.path.stat().st_size, precision, threads)


def _times(result: ModelLatency) -> dict[str, Any]:
    stages = {stage: stats._asdict() for stage, stats in result.stages().items()}
    return {"cold_start_ms": result.cold_start_ms, "stages": stages}


def _samples(result: ModelLatency) -> dict[str, list[float]]:
    return {stage: result.stage_ms(stage) for stage in STAGES}


def _p50(result: ModelLatency) -> float:
    return result.stages()["total"].p50_ms


def _synthetic_frame(height: int, width: int, random: np.random.Generator) -> Image:
    shapes = cv2.resize(random.uniform(0, 255, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    light = np.linspace(random.uniform(-40, 0), random.uniform(0, 40), width)[None, :, None]
    noise = random.normal(0, 4, (height, width, 3))
    return np.clip(shapes + light + noise, 0, 255).astype(np.uint8)
