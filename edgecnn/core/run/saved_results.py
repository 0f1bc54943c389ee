"""Evaluations and benchmarks that are saved in a run folder, as `results/<model>.<kind>.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from edgecnn.core.atomic import write_json
from edgecnn.core.errors import InputError, first_problem
from edgecnn.core.records.benchmark import BenchmarkRecord, parse_benchmark
from edgecnn.core.records.evaluation import EvaluationRecord
from edgecnn.core.records.record import Record
from edgecnn.core.run.run_folder import RunFolder, run_of

Kind = Literal["evaluation", "benchmark"]


def save_result(model: Path, kind: Kind, record: Record) -> Path | None:
    """Save a result for the report of a run.

    Args:
        model: File of the model.
        kind: Kind of result.
        record: The result.

    Returns:
        The file written, or None if the model is not in a run folder.

    Raises:
        WriteError: If the file cannot be written.
    """
    folder = run_of(model)
    if folder is None:
        return None
    path = folder.results / f"{model.stem}.{kind}.json"
    write_json(path, record.to_json())
    return path


def read_evaluations(folder: RunFolder) -> dict[str, EvaluationRecord]:
    """Read the saved evaluations of a run.

    Args:
        folder: The run folder.

    Returns:
        Evaluations by model name, sorted.

    Raises:
        InputError: If a file is invalid.
    """
    return {name: _evaluation(content, path) for name, path, content in _saved(folder, "evaluation")}


def read_benchmarks(folder: RunFolder) -> dict[str, BenchmarkRecord]:
    """Read the saved benchmarks of a run.

    Args:
        folder: The run folder.

    Returns:
        Benchmarks by model name, sorted.

    Raises:
        InputError: If a file is invalid or has another format version.
    """
    return {
        name: parse_benchmark(content, str(path), "run edgecnn benchmark again, or remove the file")
        for name, path, content in _saved(folder, "benchmark")
    }


def _saved(folder: RunFolder, kind: Kind) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for path in sorted(folder.results.glob(f"*.{kind}.json")):
        try:
            content = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError):
            raise InputError(f"{path} is not valid JSON; run edgecnn {_COMMANDS[kind]} again, or remove it") from None
        yield path.name.removesuffix(f".{kind}.json"), path, content


_COMMANDS: dict[Kind, str] = {"evaluation": "evaluate", "benchmark": "benchmark"}


def _evaluation(content: dict[str, Any], path: Path) -> EvaluationRecord:
    try:
        return EvaluationRecord.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path} is invalid: {first_problem(error)}; run edgecnn evaluate again, or remove it"
        ) from None
