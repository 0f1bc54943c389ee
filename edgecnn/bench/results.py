"""Keeping results beside the run that they belong to, for its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecnn.bench.accuracy import Evaluation, evaluation_record
from edgecnn.core.run.run_folder import save_result


def save_evaluation(evaluation: Evaluation) -> tuple[Path, ...]:
    """Saves what was measured of each model that lies in a run folder; returns the files."""
    records = {evaluation.candidate.path: evaluation_record(evaluation)}
    if evaluation.baseline:
        alone = Evaluation(evaluation.baseline, baseline=None, paired=None, gate=None)
        records[evaluation.baseline.path] = evaluation_record(alone)
    saved = (save_result(model, "evaluation", record) for model, record in records.items())
    return tuple(path for path in saved if path)


def save_benchmark(model: Path, record: dict[str, Any]) -> Path | None:
    """Saves the record of a benchmark, if `model` lies in a run folder."""
    return save_result(model, "benchmark", record)
