"""Latency of a model file by stage, with a baseline and several numbers of threads measured in turns with it.

Turns are short blocks, so that a processor that slows down affects all models equally. Every sample is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle
from statistics import fmean

import numpy as np

from edgecnn.bench.benchmark_report import BenchmarkReport, ModelLatency
from edgecnn.bench.conditions import Watch, machine_reasons
from edgecnn.bench.environment import describe_environment
from edgecnn.bench.interleaving import Contender, take_turns
from edgecnn.bench.isolated_process import IsolatedResult, measure_isolated
from edgecnn.bench.power import PowerMeter, energy_of
from edgecnn.core.errors import InputError
from edgecnn.core.metrics.latency import latency_stats
from edgecnn.core.model_file.model_file import ModelFile, sha256_of
from edgecnn.core.preprocess import Image
from edgecnn.core.records.benchmark import ModelIdentity, Protocol

MAX_SPREAD = 3.0
"""Ratio of p99 to p50 of the total above which the tail is not caused by the model."""
MAX_SLOWDOWN = 1.25
"""Ratio of the last quarter's median to the first's above which the processor did not run steadily."""


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
    """Measure a model in turns with a baseline, and with itself at other numbers of threads.

    Args:
        model: The model to measure.
        baseline: A model to compare with.
        frames: uint8 HWC RGB images of the protocol's size.
        threads: Threads of the interpreter for model and baseline.
        sweep: Numbers of threads to measure the model with as well.
        protocol: Rules of the measurement.
        progress: Called with `(done, total)` samples; it advances more slowly if the minimum duration takes longer than
            the samples.

    Returns:
        The report, without accuracy.

    Raises:
        InputError: If the frames do not match the protocol or a model cannot be run.
    """
    protocol = protocol or Protocol()
    _check_frames(frames, protocol)
    environment = describe_environment()
    endless = cycle(frames)
    own = {count: Contender(model, count, endless, protocol) for count in dict.fromkeys((threads, *sweep))}
    other = Contender(baseline, threads, endless, protocol) if baseline else None
    contenders = [*own.values(), *([other] if other else [])]
    size = {"height": protocol.frame_height, "width": protocol.frame_width}
    isolated = {each: measure_isolated(each.model, threads=each.threads, **size) for each in contenders}

    watch = Watch(environment, protocol.watch_seconds)
    with PowerMeter(protocol.watch_seconds) as meter:
        take_turns(contenders, endless, protocol, watch=watch, meter=meter, progress=progress)
    conditions = watch.finish()

    measured = {each: _result(each, isolated[each], meter) for each in contenders}
    reasons = [*machine_reasons(environment, conditions)]
    for result in measured.values():
        reasons.extend(sample_reasons(result, protocol))
    return BenchmarkReport(
        model=measured[own[threads]],
        baseline=measured[other] if other else None,
        sweep=tuple(measured[own[count]] for count in dict.fromkeys(sweep)),
        environment=environment,
        conditions=conditions,
        protocol=protocol,
        invalid_reasons=tuple(reasons),
        created=datetime.now(UTC),
    )


def sample_reasons(result: ModelLatency, protocol: Protocol) -> Iterator[str]:
    """Find what about a model's samples makes a measurement invalid.

    Args:
        result: Samples of one model.
        protocol: Rules of the measurement.

    Yields:
        One line per reason, with its figures.
    """
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


def _result(contender: Contender, isolated: IsolatedResult, meter: PowerMeter) -> ModelLatency:
    mean_ms = fmean(sum(sample) for sample in contender.samples)
    return ModelLatency(
        identity=_identity(contender.model, contender.threads),
        isolated=isolated,
        samples=tuple(contender.samples),
        energy=energy_of(meter.watts_of(contender), mean_ms),
    )


def _identity(model: ModelFile, threads: int) -> ModelIdentity:
    return ModelIdentity(
        name=model.name,
        sha256=sha256_of(model.path),
        size_bytes=model.path.stat().st_size,
        precision=model.card.precision if model.card else None,
        threads=threads,
    )


def _check_frames(frames: Sequence[Image], protocol: Protocol) -> None:
    if not frames:
        raise InputError("expected frames to measure with, got none")
    expected = (protocol.frame_height, protocol.frame_width, 3)
    for frame in frames:
        if frame.shape != expected:
            raise InputError(f"expected frames of shape {expected}, the size in the protocol, got {frame.shape}")
