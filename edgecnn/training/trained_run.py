"""The run folder of a trained network: record, weights and charts, in place of those of an earlier run."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edgecnn.core.model_file.card import DatasetRecord
from edgecnn.core.run.run_folder import RunFolder, RunRecord, write_run
from edgecnn.core.versions import versions_of
from edgecnn.training.fitting.phases import RunContext
from edgecnn.training.keras import keras
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.weights import save_weights
from edgecnn.training.plots.run_plots import draw
from edgecnn.training.results import Measured, run_metrics

VERSIONED_PACKAGES = (
    "edgecnn",
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "numpy",
    "opencv-python",
    "ai-edge-litert",
)

Status = Literal["complete", "interrupted"]


def write_trained(
    model: keras.Model,
    measured: tuple[Measured, ...],
    context: RunContext,
    *,
    status: Status,
    outdated_logs: frozenset[Path],
) -> RunRecord:
    """Write the run folder if this worker is the chief, and remove the files of an earlier run.

    Args:
        model: Trained network, in float32.
        measured: Its outputs for each split; the last split is plotted.
        context: The training run.
        status: `complete`, or `interrupted` if it can be resumed.
        outdated_logs: Logs of an earlier run, which are removed.

    Returns:
        The record of the run, on every worker.

    Raises:
        WriteError: The disk is full or not writable.
    """
    folder, dataset, settings, journal = context.folder, context.dataset, context.settings, context.journal
    record = RunRecord(
        name=folder.path.resolve().name,
        created=datetime.now(UTC),
        status=status,
        backbone=backbone_spec(settings.model, settings.alpha).title,
        settings=settings,
        preprocess=context.spec,
        labels=dataset.labels.names,
        data=dataset.root.resolve(),
        dataset=DatasetRecord(fingerprint=dataset.fingerprint, counts=dataset.counts),
        class_counts={split: dataset.class_counts(split) for split in dataset.splits},
        unreadable=tuple(str(path) for path in dataset.unreadable),
        history=tuple(journal.history),
        metrics=run_metrics(measured),
        execution=context.execution.record,
        versions=versions_of(VERSIONED_PACKAGES),
    )
    if context.execution.is_chief:
        save_weights(model, folder.float_weights)
        write_run(folder, record)
        draw(measured[-1], context)
        _remove_outdated(folder, outdated_logs)
    if status == "complete":
        journal.remove()
    return record


def _remove_outdated(folder: RunFolder, logs: frozenset[Path]) -> None:
    """Remove the logs of an earlier run and everything that was derived from its weights."""
    folder.qat_weights.unlink(missing_ok=True)
    folder.report.unlink(missing_ok=True)
    for outdated in (folder.export, folder.results):
        shutil.rmtree(outdated, ignore_errors=True)
    for log in logs:
        if log.is_file():
            log.unlink()
