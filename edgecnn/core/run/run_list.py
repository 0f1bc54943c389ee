"""The runs that lie below a folder, to be set side by side."""

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
"""The last word of a metric that is good when it is small; the third is the expected calibration error."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run as it was found."""

    path: Path
    record: RunRecord
    exported: tuple[Path, ...]
    """Its model files, by name."""


class RunList(NamedTuple):
    """What lies below a folder."""

    runs: tuple[ListedRun, ...]
    """The newest first."""
    problems: tuple[str, ...]
    """A line for each run folder that cannot be read, by path."""


def list_runs(folder: Path) -> RunList:
    """Every run at or below `folder`, hidden folders and links apart.

    One that is broken or of another version is a problem among the others. Raises `InputError` where `folder` is none.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder with runs, got {folder}; make a run with edgecnn train DATA --out RUN")
    found: list[ListedRun] = []
    problems: list[str] = []
    for path in _run_folders(folder, problems):
        try:
            run, record = read_run(path)
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(_reason(error))
        else:
            found.append(ListedRun(path, record, tuple(sorted(run.export.glob("*.tflite")))))
    found.sort(key=lambda run: run.record.created, reverse=True)
    return RunList(tuple(found), tuple(problems))


def metric_names(runs: Iterable[ListedRun]) -> tuple[str, ...]:
    """The metrics that any of the runs has, in the order they are first met."""
    return tuple(dict.fromkeys(name for run in runs for name in run.record.metrics))


def best_first(runs: Sequence[ListedRun], metric: str) -> tuple[ListedRun, ...]:
    """The runs by a metric of theirs, those that lack it last.

    More is better, except of losses and errors. Raises `UnknownName` for a metric that none of them has.
    """
    if runs and metric not in metric_names(runs):
        raise UnknownName("metric", metric, metric_names(runs))
    sign = 1 if metric.rpartition("_")[2] in _LOWER_IS_BETTER else -1
    return tuple(
        sorted(runs, key=lambda run: (metric not in run.record.metrics, sign * run.record.metrics.get(metric, 0.0)))
    )


def epochs_by_phase(record: RunRecord) -> dict[str, int]:
    """How many epochs each phase of a training took."""
    return dict(Counter(epoch.phase for epoch in record.history))


def run_summary_record(run: ListedRun) -> dict[str, Any]:
    """A run as JSON has it."""
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
    """Folders that hold a run, by path; one that cannot be looked into becomes a problem."""
    found: list[Path] = []
    for path, folders, files in os.walk(folder, onerror=lambda error: problems.append(_reason(error))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if RUN_FILE in files:
            found.append(Path(path))
    return sorted(found)


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}"
