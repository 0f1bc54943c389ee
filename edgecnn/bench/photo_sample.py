"""What models decide on a sample of the user's photos, the same photos on every machine."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.bench.accuracy import Evaluation, ModelAccuracy, evaluate, match_labels
from edgecnn.bench.photos import photos_to_measure
from edgecnn.core.dataset import Example
from edgecnn.core.errors import InputError
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.model_file import ModelFile
from edgecnn.core.progress import Progress, silent
from edgecnn.runtime.inference.classifier import Classifier


class PhotoSample(NamedTuple):
    """Photos that were chosen out of `found`."""

    examples: tuple[Example, ...]
    labels: LabelMap
    """Which the examples count in."""
    found: int
    limit: int | None
    seed: int
    unreadable: tuple[Path, ...]
    """Files that were passed over."""


@dataclass(frozen=True, slots=True)
class PhotoAccuracy:
    """What the models of a benchmark made of a sample."""

    sample: PhotoSample
    evaluation: Evaluation


def sample_photos(
    models: Sequence[ModelFile], data: Path | None, *, limit: int | None, seed: int, progress: Progress = silent
) -> PhotoSample | None:
    """The test photos of `data`, all of it where it has none, or a stratified `limit` of them; None without `data`.

    The first model tells the run whose division of the photos holds, see `photos_to_measure`. Raises `InputError`, also
    for labels that one of the models lacks: that should not come out after a minute of measuring.
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
    """At most `limit` examples, from every class in proportion, no content of a class twice.

    Which ones depends on `seed`, the names of the classes in their order and the content of the photos alone, not on
    where the files lie or what they are called.
    """
    by_class: dict[int, dict[str, Example]] = defaultdict(dict)
    for example in sorted(examples):
        by_class[example.label].setdefault(example.sha256, example)
    # A photo's place in the shuffled order of its class, from 0 to 1: the lowest places of all classes together are in
    # proportion.
    placed: list[tuple[float, Example]] = []
    for contents in by_class.values():
        order = sorted(contents, key=lambda digest: hashlib.sha256(f"{seed}:{digest}".encode()).digest())
        placed += [((place + 0.5) / len(order), contents[digest]) for place, digest in enumerate(order)]
    placed.sort(key=lambda each: (each[0], each[1].label))
    return tuple(sorted(example for _, example in placed[:limit]))


def decide(
    sample: PhotoSample,
    model: ModelFile,
    baseline: ModelFile | None,
    *,
    threads: int,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoAccuracy:
    """Classifies the sample with the model, and with the baseline beside it. Raises `InputError`."""
    evaluation = evaluate(
        Classifier(model, threads=threads),
        sample.examples,
        sample.labels,
        baseline=Classifier(baseline, threads=threads) if baseline else None,
        progress=progress,
    )
    return PhotoAccuracy(sample, evaluation)


def photos_record(sample: PhotoSample) -> dict[str, Any]:
    """How the sample was chosen, as a JSON object."""
    return {"found": sample.found, "measured": len(sample.examples), "limit": sample.limit, "seed": sample.seed}


def decisions_record(accuracy: ModelAccuracy, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The decision on every photo as JSON objects; a photo is known by its content, so that it is found again."""
    return [
        {
            "sha256": example.sha256,
            "label": decision.truth,
            "predicted": decision.decision,
            "score": round(decision.score, 6),
        }
        for example, decision in zip(examples, accuracy.decisions, strict=True)
    ]
