"""Saving results in the run folder that a model belongs to, for the report of the run."""

from __future__ import annotations

from pathlib import Path

from edgecnn.bench.accuracy import Evaluation, evaluation_record
from edgecnn.core.records.benchmark import BenchmarkRecord
from edgecnn.core.run.saved_results import save_result


def save_evaluation(evaluation: Evaluation) -> tuple[Path, ...]:
    """Save the results of each model that is in a run folder.

    Args:
        evaluation: A finished evaluation; its baseline is saved as an evaluation of its own.

    Returns:
        The files written.

    Raises:
        WriteError: If a file cannot be written.
    """
    records = {evaluation.candidate.path: evaluation_record(evaluation)}
    if evaluation.baseline:
        own = Evaluation(evaluation.baseline, baseline=None, paired=None, gate=None)
        records[evaluation.baseline.path] = evaluation_record(own)
    saved = (save_result(model, "evaluation", record) for model, record in records.items())
    return tuple(path for path in saved if path)


def save_benchmark(model: Path, record: BenchmarkRecord) -> Path | None:
    """Save a benchmark if the model is in a run folder.

    Args:
        model: File of the model.
        record: Its benchmark.

    Returns:
        The file written, or None outside a run folder.

    Raises:
        WriteError: If the file cannot be written.
    """
    return save_result(model, "benchmark", record)
