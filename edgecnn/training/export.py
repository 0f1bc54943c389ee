"""`edgecnn export`: from a run, or from pretrained ImageNet weights, to model files that have been checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edgecnn.core.atomic import atomic_path
from edgecnn.core.dataset import TRAIN, VALIDATION, Example
from edgecnn.core.errors import InputError
from edgecnn.core.model_file.card import CalibrationRecord, DatasetRecord, ModelCard
from edgecnn.core.model_file.model_file import append_associated_files, sha256_of
from edgecnn.core.precision import Precision
from edgecnn.core.preprocess import Image, PreprocessSpec
from edgecnn.core.progress import Progress, silent
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import RunFolder, RunRecord, read_run
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.core.settings.min_recall import MinRecall
from edgecnn.core.versions import versions_of
from edgecnn.runtime.inference.threshold import decided, threshold_of
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_imagenet_classifier, imagenet_labels
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import load_float_model
from edgecnn.training.networks.weights import starting_weights
from edgecnn.training.normalization import normalized_batches
from edgecnn.training.qat import load_quantization_aware_model
from edgecnn.training.quantization.bias_correction import correct_biases
from edgecnn.training.quantization.calibration import Calibration, calibrate_with, calibrate_with_folder
from edgecnn.training.quantization.fold_batch_norm import fold_model
from edgecnn.training.tflite.class_threshold import check_min_recall, pick_threshold
from edgecnn.training.tflite.convert import convert
from edgecnn.training.tflite.export_checks import check_model_file, file_probabilities
from edgecnn.training.tflite.golden_vectors import golden_vectors
from edgecnn.training.tflite.metadata_writer import add_metadata
from edgecnn.training.trained_run import VERSIONED_PACKAGES

_QUANTIZED: tuple[Precision, ...] = ("int8", "int16x8")
_MEASURED_PHOTOS = 512
"""Validation photos, at most, that a model file is measured on before it gets its name; where a threshold is picked on
them, it is measured on all."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What the model files of one export have in common."""

    name: str
    backbone: str
    model: keras.Model
    quantized_model: keras.Model | None
    spec: PreprocessSpec
    labels: tuple[str, ...]
    calibration: Calibration
    weights_license: str
    dataset: DatasetRecord | None = None
    validation: Sequence[Example] = ()
    min_recall: MinRecall | None = None


def export_run(run: Path, settings: ExportSettings, *, progress: Progress = silent) -> tuple[Path, ...]:
    """Writes `RUN/export/<name>-<precision>.tflite` for each precision, float32 always among them; returns the files.

    int8 takes the run's quantization-aware weights where it has them; `settings.ptq` quantizes the float weights
    instead, under the name `<name>-ptq`. With `settings.min_recall` every file gets a threshold of its own, as
    quantization moves scores. Raises `InputError`, and `ExportError` for a file that fails its check or cannot have the
    recall.
    """
    folder, record = read_run(run)
    dataset = dataset_of_run(record, progress)
    if settings.min_recall:
        check_min_recall(settings.min_recall, dataset)
    spec, validation = record.preprocess, dataset.splits[VALIDATION]
    source = _Source(
        name=record.name,
        backbone=record.backbone,
        model=load_float_model(folder, record),
        quantized_model=_quantized_model(folder, record, settings),
        spec=spec,
        labels=record.labels,
        calibration=calibrate_with(dataset.splits[TRAIN], spec, settings.calibration_images, settings.seed),
        weights_license=_weights_license(record.settings),
        dataset=record.dataset,
        validation=validation if settings.min_recall else _some(validation),
        min_recall=settings.min_recall,
    )
    parent = folder.model_file(record.name, "float32")
    files = [parent]
    _write(source, "float32", parent, None, progress)
    for precision in settings.precisions:
        if precision != "float32":
            files.append(folder.model_file(record.name, precision, ptq=settings.ptq))
            _write(source, precision, files[-1], sha256_of(parent), progress)
    return tuple(files)


def export_pretrained(
    name: str,
    precision: Precision,
    out: Path,
    *,
    alpha: float | None = None,
    weights: str = "imagenet",
    crop_fraction: float,
    calibration: Path | None = None,
    calibration_images: int,
    seed: int,
    progress: Progress = silent,
) -> Path:
    """Writes the 1000-class ImageNet classifier of a backbone to `out`, at its published size and normalization.

    `crop_fraction` is the share of the center that it looks at; the published evaluations keep `spec.crop_fraction` of
    it, a camera's user rather expects the whole. `calibration` is a folder of images, in any folders below it, that
    int8 and int16x8 need. Raises as `export_run`.
    """
    if out.suffix != ".tflite":
        raise InputError(f"expected --out with the suffix .tflite, got {out}")
    if calibration is None and precision in _QUANTIZED:
        raise InputError(f"{precision} needs photos to set its ranges: give a folder of them with --calibration")
    backbone = backbone_spec(name, alpha)
    spec = PreprocessSpec(
        height=backbone.height,
        width=backbone.width,
        crop_fraction=crop_fraction,
        mean=backbone.mean,
        std=backbone.std,
    )
    source = _Source(
        name=out.stem.removesuffix(f"-{precision}"),
        backbone=backbone.title,
        model=build_imagenet_classifier(backbone, weights=starting_weights(weights, backbone)),
        quantized_model=None,
        spec=spec,
        labels=imagenet_labels().names,
        calibration=calibrate_with_folder(calibration, spec, calibration_images, seed)
        if calibration
        else Calibration((), CalibrationRecord(fingerprint="", count=0, seed=seed)),
        weights_license=backbone.weights_license,
    )
    _write(source, precision, out, None, progress)
    return out


def _weights_license(settings: TrainSettings) -> str:
    """Of the pretrained weights that a run began with; a file is taken for one of its network's."""
    return "" if settings.weights == "none" else backbone_spec(settings.model, settings.alpha).weights_license


def _quantized_model(folder: RunFolder, record: RunRecord, settings: ExportSettings) -> keras.Model | None:
    if record.qat is None or settings.ptq or "int8" not in settings.precisions:
        return None
    return load_quantization_aware_model(folder, record)


def _write(source: _Source, precision: Precision, target: Path, parent_sha256: str | None, progress: Progress) -> None:
    progress(f"exporting {target.name}", 0, 1)
    aware = source.quantized_model if precision == "int8" else None
    images = source.calibration.images if precision in _QUANTIZED and aware is None else ()
    network = aware or (_with_corrected_biases(source.model, source.spec, images) if images else source.model)
    flatbuffer = convert(network, precision, source.spec, images)
    card = ModelCard(
        name=source.name,
        backbone=source.backbone,
        precision=precision,
        quantization="qat" if aware else "none" if precision in ("float32", "float16") else "ptq",
        preprocess=source.spec,
        labels=source.labels,
        dataset=source.dataset,
        calibration=source.calibration.record if aware or images else None,
        parent_sha256=parent_sha256,
        versions=versions_of(VERSIONED_PACKAGES),
        created=datetime.now(UTC),
    )
    model = add_metadata(flatbuffer, source.name, source.spec, len(source.labels), source.weights_license)
    with atomic_path(target) as temporary:
        temporary.write_bytes(append_associated_files(model, card))
        check_model_file(temporary, card, source.model, source.calibration.images)
        # What is found out by running the file belongs into it, so it is written again.
        if source.validation:
            card = _measured(temporary, card, source, progress)
            # The golden vectors are ranked by the threshold.
            temporary.write_bytes(append_associated_files(model, card))
        temporary.write_bytes(append_associated_files(model, card, golden_vectors(temporary)))
    progress(f"exporting {target.name}", 1, 1)


def _with_corrected_biases(model: keras.Model, spec: PreprocessSpec, images: Sequence[Image]) -> keras.Model:
    folded = fold_model(model)
    # The converter gives every output of a Dense layer a scale of its own.
    correct_biases(folded, normalized_batches(images, spec), dense_per_channel=True)
    return folded


def _measured(file: Path, card: ModelCard, source: _Source, progress: Progress) -> ModelCard:
    """The card with what the file comes to on validation photos: the threshold that was asked for, and its metrics."""
    probabilities = file_probabilities(file, source.validation, progress)
    truth = np.array([example.label for example in source.validation], np.intp)
    if request := source.min_recall:
        threshold = pick_threshold(probabilities, truth, source.labels.index(request.label), request)
        card = card.model_copy(update={"threshold": threshold})
    decisions = np.array([decided(row, threshold_of(card)) for row in probabilities])
    metrics = {"validation_accuracy": float(np.mean(decisions == truth)), "validation_images": float(len(truth))}
    return card.model_copy(update={"metrics": metrics})


def _some(examples: Sequence[Example]) -> Sequence[Example]:
    """`_MEASURED_PHOTOS` of them, evenly spread: they are sorted by class, and the first ones would be of few."""
    if len(examples) <= _MEASURED_PHOTOS:
        return examples
    return [examples[place * len(examples) // _MEASURED_PHOTOS] for place in range(_MEASURED_PHOTOS)]
