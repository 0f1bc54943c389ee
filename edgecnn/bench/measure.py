"""A whole benchmark: latency, and accuracy on the user's photos where there are some."""

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
"""What is said of a measurement that Ctrl-C ended."""


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
    """Measures latency as `settings` say, see `benchmark`, on frames of that `seed`, then accuracy on `sample`.

    Raises `InputError`, and `Interrupted` on Ctrl-C.
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
    """Reads numbers of threads such as `4`, or `1,2,4` for a sweep. Raises `InputError`."""
    words = [word.strip() for word in text.split(",")]
    counts = tuple(dict.fromkeys(int(word) for word in words if word.isascii() and word.isdigit()))
    if len(counts) != len(words) or min(counts) < 1:
        raise InputError(f"expected threads as different numbers of 1 or more, such as 1,2,4, got {text!r}")
    return counts
