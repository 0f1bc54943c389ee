"""The runs below a folder, for comparison."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.run.run_folder import RUN_FILE, RunRecord, read_run

_LOWER_IS_BETTER = {"loss", "error", "ece"}
"""Last words of metrics for which lower is better; `ece` is the expected calibration error."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run below the folder."""

    path: Path
    record: RunRecord
    exported: tuple[Path, ...]
    """Its model files, sorted by name."""


class RunList(NamedTuple):
    """The runs below a folder."""

    runs: tuple[ListedRun, ...]
    """Newest first."""
    problems: tuple[str, ...]
    """One line per run folder that cannot be read, sorted by path."""


def list_runs(folder: Path) -> RunList:
    """Find every run at or below a folder, except in hidden folders and behind links.

    Args:
        folder: Folder to search.

    Returns:
        The runs; one that is broken or has another version is listed as a problem.

    Raises:
        InputError: If it is not a folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder with runs, got {folder}; make a run with edgecnn train DATA --out RUN")
    runs: list[ListedRun] = []
    problems: list[str] = []
    for path in _run_folders(folder, problems):
        try:
            run, record = read_run(path)
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(_reason(error))
        else:
            runs.append(ListedRun(path, record, tuple(sorted(run.export.glob("*.tflite")))))
    runs.sort(key=lambda run: run.record.created, reverse=True)
    return RunList(tuple(runs), tuple(problems))


def metric_names(runs: Iterable[ListedRun]) -> tuple[str, ...]:
    """Collect the names of metrics.

    Args:
        runs: The runs.

    Returns:
        Every metric that at least one of the runs has, in order of first occurrence.
    """
    return tuple(dict.fromkeys(name for run in runs for name in run.record.metrics))


def best_first(runs: Sequence[ListedRun], metric: str) -> tuple[ListedRun, ...]:
    """Sort runs by a metric.

    Args:
        runs: The runs.
        metric: Name of the metric. Higher is better, except for losses and errors.

    Returns:
        The best run first, runs without the metric last.

    Raises:
        UnknownName: If no run has the metric.
    """
    if runs and metric not in metric_names(runs):
        raise UnknownName("metric", metric, metric_names(runs))
    sign = 1 if metric.rpartition("_")[2] in _LOWER_IS_BETTER else -1
    return tuple(
        sorted(runs, key=lambda run: (metric not in run.record.metrics, sign * run.record.metrics.get(metric, 0.0)))
    )


def epochs_by_phase(record: RunRecord) -> dict[str, int]:
    """Count the epochs of each phase.

    Args:
        record: The record of a run.

    Returns:
        Number of epochs by phase.
    """
    return dict(Counter(epoch.phase for epoch in record.history))


def run_summary_record(run: ListedRun) -> dict[str, Any]:
    """Return the JSON object that `edgecnn runs --json` prints for a run.

    Args:
        run: The run.

    Returns:
        Plain JSON values.
    """
    record = run.record
    return {
        "path": str(run.path),
        "name": record.name,
        "created": record.created.isoformat(),
        "status": record.status,
        "backbone": record.backbone,
        "classes": len(record.labels),
        "data": str(record.data),
        "dataset": record.dataset.model_dump(mode="json"),
        "height": record.preprocess.height,
        "width": record.preprocess.width,
        "epochs": epochs_by_phase(record),
        "metrics": record.metrics,
        "qat": record.qat.model_dump(mode="json") if record.qat else None,
        "exported": [{"path": str(file), "size_bytes": file.stat().st_size} for file in run.exported],
    }


def _run_folders(folder: Path, problems: list[str]) -> list[Path]:
    """Return the folders that contain a run, sorted; append a line to `problems` for each folder that is unreadable."""
    paths: list[Path] = []
    for path, folders, files in os.walk(folder, onerror=lambda error: problems.append(_reason(error))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if RUN_FILE in files:
            paths.append(Path(path))
    return sorted(paths)


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"
