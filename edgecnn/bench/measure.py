"""A complete benchmark: latency, and accuracy on the user's photos if there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgecnn.bench.benchmark_report import BenchmarkReport
from edgecnn.bench.frames import frames_for
from edgecnn.bench.latency import benchmark
from edgecnn.bench.photo_sample import PhotoSample, decide
from edgecnn.bench.protocol import protocol_for
from edgecnn.core.errors import InputError, Interrupted
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.progress import Progress, silent
from edgecnn.core.settings.command_settings import BenchmarkSettings

INTERRUPTED = "interrupted before the measurement was complete; nothing was written"
"""Message for a measurement that Ctrl-C ended."""


def measure(
    model: ModelFile,
    baseline: ModelFile | None,
    settings: BenchmarkSettings,
    *,
    sweep: Sequence[int] = (),
    sample: PhotoSample | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> BenchmarkReport:
    """Measure latency, see `benchmark`, then accuracy on a sample of photos.

    Args:
        model: The model to measure.
        baseline: A model to compare with.
        settings: Number of threads and length of the measurement.
        sweep: Numbers of threads to measure the model with as well.
        sample: Photos to measure accuracy on.
        seed: Seed of the synthetic frames.
        progress: Called as the work proceeds.

    Returns:
        The report.

    Raises:
        InputError: If a model cannot be run.
        Interrupted: On Ctrl-C.
    """
    protocol = protocol_for(settings)
    try:
        report = benchmark(
            model,
            baseline=baseline,
            frames=frames_for(protocol, seed),
            threads=settings.threads,
            sweep=sweep,
            protocol=protocol,
            progress=lambda done, total: progress("measuring latency", done, total),
        )
        if sample is None:
            return report
        accuracy = decide(
            sample,
            model,
            baseline,
            threads=settings.threads,
            progress=lambda done, total: progress("classifying", done, total),
        )
        return replace(report, accuracy=accuracy)
    except KeyboardInterrupt:
        raise Interrupted(INTERRUPTED) from None


def parse_thread_counts(text: str) -> tuple[int, ...]:
    """Parse numbers of threads.

    Args:
        text: Such as `4`, or `1,2,4` for a sweep.

    Returns:
        The numbers in their order.

    Raises:
        InputError: If one is not a positive integer or occurs twice.
    """
    numbers = [number.strip() for number in text.split(",")]
    counts = tuple(dict.fromkeys(int(number) for number in numbers if number.isascii() and number.isdigit()))
    if len(counts) != len(numbers) or min(counts) < 1:
        raise InputError(f"expected threads as different numbers of 1 or more, such as 1,2,4, got {text!r}")
    return counts
