"""Writing and reading the JSON of a benchmark: what `benchmark --json` prints and `compare` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecnn.bench.accuracy import ModelAccuracy
from edgecnn.bench.benchmark_report import BenchmarkReport, ModelLatency
from edgecnn.bench.conditions import conditions_record
from edgecnn.bench.paired import paired_record
from edgecnn.bench.photo_sample import PhotoAccuracy, decisions_record, photos_record
from edgecnn.core.errors import InputError
from edgecnn.core.records.benchmark import (
    BENCHMARK_VERSION,
    STAGES,
    BaselineRecord,
    BenchmarkRecord,
    Measured,
    SampleSeries,
    SamplesRecord,
    SweepRecord,
    Timing,
    parse_benchmark,
)


def benchmark_record(report: BenchmarkReport) -> BenchmarkRecord:
    """Return the JSON object of a benchmark.

    Args:
        report: A finished benchmark.

    Returns:
        The record.
    """
    model, baseline, accuracy = report.model, report.baseline, report.accuracy
    evaluation = accuracy.evaluation if accuracy else None
    own = _measured(model, accuracy, evaluation.candidate if evaluation else None)
    other = _measured(baseline, accuracy, evaluation.baseline if evaluation else None) if baseline else None
    return BenchmarkRecord(
        format_version=BENCHMARK_VERSION,
        created=report.created.isoformat(timespec="seconds"),
        model=model.identity,
        environment=report.environment,
        protocol=report.protocol,
        conditions=conditions_record(report.conditions),
        **dict(own),
        sweep=tuple(SweepRecord(threads=each.identity.threads, **dict(_timing(each))) for each in report.sweep),
        photos=photos_record(accuracy.sample) if accuracy else None,
        paired=paired_record(evaluation.paired) if evaluation and evaluation.paired else None,
        valid=not report.invalid_reasons,
        invalid_reasons=report.invalid_reasons,
        baseline=BaselineRecord(**dict(baseline.identity), **dict(other)) if baseline and other else None,
        speedup_p50=other.stages.total.p50_ms / own.stages.total.p50_ms if other else None,
        size_ratio=baseline.identity.size_bytes / model.identity.size_bytes if baseline else None,
        samples=_all_samples(report),
    )


def read_benchmark(path: Path) -> BenchmarkRecord:
    """Read a report file.

    Args:
        path: File written by `edgecnn benchmark --out`.

    Returns:
        The benchmark.

    Raises:
        InputError: If the file is not a report or has another format version.
    """
    record = _json_object(path)
    if "stages" not in record:
        raise InputError(f"{path} is not a benchmark report; write one with edgecnn benchmark MODEL --out {path}")
    return parse_benchmark(record, str(path), "measure again with this edgecnn")


def _measured(latency: ModelLatency, accuracy: PhotoAccuracy | None, own: ModelAccuracy | None) -> Measured:
    return Measured(
        **dict(_timing(latency)),
        accuracy=own.record() if own else None,
        decisions=decisions_record(own, accuracy.sample.examples) if own and accuracy else None,
    )


def _timing(latency: ModelLatency) -> Timing:
    return Timing(**latency.isolated._asdict(), stages=latency.stages(), energy=latency.energy)


def _all_samples(report: BenchmarkReport) -> SamplesRecord:
    others = [each for each in report.sweep if each is not report.model]
    return SamplesRecord(
        model=_samples(report.model),
        baseline=_samples(report.baseline) if report.baseline else None,
        sweep={str(each.identity.threads): _samples(each) for each in others},
    )


def _samples(latency: ModelLatency) -> SampleSeries:
    return SampleSeries(**{stage: tuple(round(sample, 3) for sample in latency.stage_ms(stage)) for stage in STAGES})


def _json_object(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no such report: {path}; write one with edgecnn benchmark MODEL --out {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; expected a report of edgecnn benchmark") from None
    except ValueError:
        raise InputError(f"{path} is not JSON; expected a report of edgecnn benchmark") from None
    return record if isinstance(record, dict) else {}
