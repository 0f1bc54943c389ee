"""Latency of a model file by stage, beside a baseline where one is given, and with several numbers of threads.

All of them take turns in short blocks, so that a processor that slows down does so to all. Every sample is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from statistics import fmean

import numpy as np

from edgecnn.bench.benchmark_report import BenchmarkReport, ModelIdentity, ModelLatency
from edgecnn.bench.conditions import Watch, machine_reasons
from edgecnn.bench.environment import describe_environment
from edgecnn.bench.interleaving import Lane, take_turns
from edgecnn.bench.isolated_process import Alone, measure_alone
from edgecnn.bench.power import PowerMeter, energy_of
from edgecnn.bench.protocol import Protocol
from edgecnn.core.errors import InputError
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.model_file import ModelFile, sha256_of
from edgecnn.core.preprocess import Image

MAX_SPREAD = 3.0
"""p99 over p50 of the total above which the tail is not the model's."""
MAX_SLOWDOWN = 1.25
"""Median of the last quarter over that of the first above which the processor was not the same throughout."""


def benchmark(
    model: ModelFile,
    *,
    baseline: ModelFile | None = None,
    frames: Sequence[Image],
    threads: int = 1,
    sweep: Sequence[int] = (),
    protocol: Protocol | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BenchmarkReport:
    """Measures `model` in turns with `baseline`, both with `threads`, and with itself at every number in `sweep`.

    `frames` are uint8 HWC RGB of the protocol's size. `progress(done, total)` counts samples, more slowly where the
    least duration takes longer than they do. Raises `InputError`.
    """
    protocol = protocol or Protocol()
    _check_frames(frames, protocol)
    environment = describe_environment()
    endless = cycle(frames)
    own = {count: Lane(model, count, endless, protocol) for count in dict.fromkeys((threads, *sweep))}
    beside = Lane(baseline, threads, endless, protocol) if baseline else None
    lanes = [*own.values(), *([beside] if beside else [])]
    size = {"height": protocol.frame_height, "width": protocol.frame_width}
    alone = {lane: measure_alone(lane.model, threads=lane.threads, **size) for lane in lanes}

    watch = Watch(environment, protocol.watch_seconds)
    with PowerMeter(protocol.watch_seconds) as meter:
        take_turns(lanes, endless, protocol, watch=watch, meter=meter, progress=progress)
    conditions = watch.conclude()

    measured = {lane: _result(lane, alone[lane], meter) for lane in lanes}
    reasons = [*machine_reasons(environment, conditions)]
    for result in measured.values():
        reasons.extend(sample_reasons(result, protocol))
    return BenchmarkReport(
        model=measured[own[threads]],
        baseline=measured[beside] if beside else None,
        sweep=tuple(measured[own[count]] for count in dict.fromkeys(sweep)),
        environment=environment,
        conditions=conditions,
        protocol=protocol,
        invalid_reasons=tuple(reasons),
        created=datetime.now(UTC),
    )


def sample_reasons(result: ModelLatency, protocol: Protocol) -> Iterator[str]:
    """Why the samples of a model spoil the numbers."""
    threads, totals = result.identity.threads, result.stage_ms("total")
    name = f"{result.identity.name}, {threads} thread{'s' if threads != 1 else ''}"
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


def _result(lane: Lane, alone: Alone, meter: PowerMeter) -> ModelLatency:
    mean_ms = fmean(sum(sample) for sample in lane.samples)
    return ModelLatency(
        identity=_identity(lane.model, lane.threads),
        alone=alone,
        samples=tuple(lane.samples),
        energy=energy_of(meter.watts_of(lane), mean_ms),
    )


def _identity(model: ModelFile, threads: int) -> ModelIdentity:
    precision = model.card.precision if model.card else None
    return ModelIdentity(model.name, sha256_of(model.path), model.path.stat().st_size, precision, threads)


def _check_frames(frames: Sequence[Image], protocol: Protocol) -> None:
    if not frames:
        raise InputError("expected frames to measure with, got none")
    expected = (protocol.frame_height, protocol.frame_width, 3)
    for frame in frames:
        if frame.shape != expected:
            raise InputError(f"expected frames of shape {expected}, as the protocol says, got {frame.shape}")
