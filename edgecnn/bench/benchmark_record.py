"""A benchmark as JSON: what `edgecnn benchmark --json` prints, its report file holds and `edgecnn compare` reads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgecnn.bench.accuracy import ModelAccuracy, accuracy_record
from edgecnn.bench.benchmark_report import STAGES, BenchmarkReport, ModelLatency
from edgecnn.bench.conditions import conditions_record
from edgecnn.bench.environment import environment_record
from edgecnn.bench.paired import paired_record
from edgecnn.bench.photo_sample import PhotoAccuracy, decisions_record, photos_record

BENCHMARK_VERSION = 2
"""2: `cold_start_ms` and `peak_rss_bytes` are those of a process of the model's own; samples are rounded."""


def benchmark_record(report: BenchmarkReport) -> dict[str, Any]:
    """The JSON object of `report`.

    `speedup_p50` and `size_ratio` are the baseline's over the model's: 2 is twice as fast, half as large.
    """
    model, baseline, accuracy = report.model, report.baseline, report.accuracy
    evaluation = accuracy.evaluation if accuracy else None
    return {
        "format_version": BENCHMARK_VERSION,
        "created": report.created.isoformat(timespec="seconds"),
        "model": model.identity._asdict(),
        "environment": environment_record(report.environment),
        "protocol": asdict(report.protocol),
        "conditions": conditions_record(report.conditions),
        **_measured(model, accuracy, evaluation.candidate if evaluation else None),
        "sweep": [{"threads": each.identity.threads, **_times(each)} for each in report.sweep],
        "photos": photos_record(accuracy.sample) if accuracy else None,
        "paired": paired_record(evaluation.paired) if evaluation and evaluation.paired else None,
        "valid": not report.invalid_reasons,
        "invalid_reasons": list(report.invalid_reasons),
        "baseline": {
            **baseline.identity._asdict(),
            **_measured(baseline, accuracy, evaluation.baseline if evaluation else None),
        }
        if baseline
        else None,
        "speedup_p50": _p50(baseline) / _p50(model) if baseline else None,
        "size_ratio": baseline.identity.size_bytes / model.identity.size_bytes if baseline else None,
        "samples": _all_samples(report),
    }


def _measured(latency: ModelLatency, accuracy: PhotoAccuracy | None, own: ModelAccuracy | None) -> dict[str, Any]:
    """What the model and the baseline each have."""
    return {
        **_times(latency),
        "accuracy": accuracy_record(own) if own else None,
        "decisions": decisions_record(own, accuracy.sample.examples) if own and accuracy else None,
    }


def _times(latency: ModelLatency) -> dict[str, Any]:
    return {
        **latency.alone._asdict(),
        "stages": {stage: stats._asdict() for stage, stats in latency.stages().items()},
        "energy": latency.energy._asdict() if latency.energy else None,
    }


def _all_samples(report: BenchmarkReport) -> dict[str, Any]:
    others = [each for each in report.sweep if each is not report.model]
    return {
        "model": _samples(report.model),
        "baseline": _samples(report.baseline) if report.baseline else None,
        "sweep": {str(each.identity.threads): _samples(each) for each in others},
    }


def _samples(latency: ModelLatency) -> dict[str, list[float]]:
    """Milliseconds, rounded to whole microseconds."""
    return {stage: [round(sample, 3) for sample in latency.stage_ms(stage)] for stage in STAGES}


def _p50(latency: ModelLatency) -> float:
    return latency.stages()["total"].p50_ms
