"""Evaluation of model files on a folder of photos."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgecnn.bench.accuracy import Evaluation, evaluate
from edgecnn.bench.photos import photos_to_measure
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.progress import Progress, silent
from edgecnn.runtime.inference.classifier import Classifier


class FolderEvaluation(NamedTuple):
    """An evaluation and the photos that it could not include."""

    evaluation: Evaluation
    unreadable: tuple[Path, ...]
    """Photos that cannot be decoded and were skipped."""


def evaluate_models(
    model: ModelFile,
    baseline: ModelFile | None,
    *,
    data: Path | None = None,
    split: str | None = None,
    strict: bool = False,
    threads: int,
    max_drop: float | None,
    progress: Progress = silent,
) -> FolderEvaluation:
    """Classify the photos of a split with a model and with a baseline, and compare both.

    Args:
        model: Model to evaluate.
        baseline: Model to compare with.
        data: Folder of class folders; by default the photos of the run that contains the model file.
        split: Split to evaluate on, or `all`; by default the test split if there is one, else `all`.
        strict: Refuse unreadable photos instead of skipping them.
        threads: Number of interpreter threads.
        max_drop: Gate, in percentage points of top-1 that the model may lose against the baseline; None for no gate.
        progress: Called with the number of classified photos.

    Returns:
        The evaluation and the photos that were skipped.

    Raises:
        InputError: If there are no photos, a model lacks one of their classes, or a gate has no baseline.
    """
    photos = photos_to_measure(model.path, data, split, strict=strict, progress=progress)
    evaluation = evaluate(
        Classifier(model, threads=threads),
        photos.examples,
        photos.labels,
        baseline=Classifier(baseline, threads=threads) if baseline else None,
        max_drop=max_drop,
        progress=lambda done, total: progress("classifying", done, total),
    )
    return FolderEvaluation(evaluation, photos.unreadable)
