"""A sample of the user's photos, the same on every machine, and the models' decisions on it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgecnn.bench.accuracy import Evaluation, ModelAccuracy, evaluate, match_labels
from edgecnn.bench.photos import photos_to_measure
from edgecnn.core.dataset import Example
from edgecnn.core.errors import InputError
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.progress import Progress, silent
from edgecnn.core.records.benchmark import DecisionRecord, PhotosRecord
from edgecnn.runtime.inference.classifier import Classifier


class PhotoSample(NamedTuple):
    """Photos that were chosen out of `found`."""

    examples: tuple[Example, ...]
    labels: LabelMap
    """Labels that the examples index."""
    found: int
    """Number of photos before the choice."""
    limit: int | None
    seed: int
    unreadable: tuple[Path, ...]
    """Files that were skipped."""


@dataclass(frozen=True, slots=True)
class PhotoAccuracy:
    """Accuracy of a benchmark's models on a sample."""

    sample: PhotoSample
    evaluation: Evaluation


def sample_photos(
    models: Sequence[ModelFile], data: Path | None, *, limit: int | None, seed: int, progress: Progress = silent
) -> PhotoSample | None:
    """Choose the photos of a benchmark before anything is measured, so that a mistake shows at once.

    Args:
        models: The models to measure. If the first is in a run folder, the run's split of the photos is used, see
            `photos_to_measure`.
        data: A folder of class folders. Its test photos are used, or all photos if it has no test split.
        limit: Maximum number of photos, chosen by `stratified`.
        seed: Seed of the choice.
        progress: Called as photos are read.

    Returns:
        The sample, or None without `data`.

    Raises:
        InputError: If the limit is invalid or given without `data`, or a model lacks one of the labels.
    """
    if data is None:
        if limit is not None:
            raise InputError(f"expected a folder of photos to choose {limit} from, got none; give it with --data")
        return None
    if limit is not None and limit < 1:
        raise InputError(f"expected a limit of 1 photo or more, got {limit}")
    photos = photos_to_measure(models[0].path, data, None, progress=progress)
    for model in models:
        if model.labels:
            match_labels(photos.labels, model.labels, model.path)
    examples = photos.examples if limit is None else stratified(photos.examples, limit, seed)
    return PhotoSample(examples, photos.labels, len(photos.examples), limit, seed, photos.unreadable)


def stratified(examples: Sequence[Example], limit: int, seed: int) -> tuple[Example, ...]:
    """Choose examples from every class in proportion, without duplicates within a class.

    The choice depends only on the seed, the class names in their order and the content of the photos, not on the paths
    of the files.

    Args:
        examples: Examples to choose from.
        limit: Maximum number of examples.
        seed: Seed of the choice.

    Returns:
        The chosen examples, sorted.
    """
    by_class: dict[int, dict[str, Example]] = defaultdict(dict)
    for example in sorted(examples):
        by_class[example.label].setdefault(example.sha256, example)
    # Every photo has a relative position, from 0 to 1, in the shuffled order of its class. The lowest positions of all
    # classes together are in proportion to the sizes of the classes.
    ranked: list[tuple[float, Example]] = []
    for contents in by_class.values():
        order = sorted(contents, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        ranked += [((index + 0.5) / len(order), contents[digest]) for index, digest in enumerate(order)]
    ranked.sort(key=lambda entry: (entry[0], entry[1].label))
    return tuple(sorted(example for _, example in ranked[:limit]))


def decide(
    sample: PhotoSample,
    model: ModelFile,
    baseline: ModelFile | None,
    *,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoAccuracy:
    """Classify a sample with a model and a baseline.

    Args:
        sample: The photos.
        model: The model.
        baseline: A model to compare with.
        threads: Threads of the interpreters.
        progress: Called with `(done, total)` after every photo.

    Returns:
        The accuracy of both.

    Raises:
        InputError: If a model or a photo cannot be used.
    """
    evaluation = evaluate(
        Classifier(model, threads=threads),
        sample.examples,
        sample.labels,
        baseline=Classifier(baseline, threads=threads) if baseline else None,
        progress=progress,
    )
    return PhotoAccuracy(sample, evaluation)


def photos_record(sample: PhotoSample) -> PhotosRecord:
    """Return the JSON object that says how a sample was chosen.

    Args:
        sample: The chosen photos.

    Returns:
        The record.
    """
    return PhotosRecord(found=sample.found, measured=len(sample.examples), limit=sample.limit, seed=sample.seed)


def decisions_record(accuracy: ModelAccuracy, examples: Sequence[Example]) -> tuple[DecisionRecord, ...]:
    """Return the JSON objects of a model's decisions. Photos are identified by their content.

    Args:
        accuracy: Decisions of the model.
        examples: The photos, in the order of the decisions.

    Returns:
        A record per photo.
    """
    return tuple(
        DecisionRecord(
            sha256=example.sha256,
            label=decision.truth,
            predicted=decision.decision,
            score=round(decision.score, 6),
        )
        for example, decision in zip(examples, accuracy.decisions, strict=True)
    )
