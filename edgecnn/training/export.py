"""`edgecnn export`: checked model files from a run or from pretrained ImageNet weights."""

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
"""Largest number of validation photos that a model file is measured on before it gets its name. If a threshold is
picked, all validation photos are used."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The inputs that all model files of one export share."""

    name: str
    backbone: str
    model: keras.Model
    quantized_model: keras.Model | None
    """Quantization-aware model for int8; None if int8 is quantized after training."""
    spec: PreprocessSpec
    labels: tuple[str, ...]
    calibration: Calibration
    weights_license: str
    """License of the pretrained weights; empty if there were none."""
    dataset: DatasetRecord | None = None
    validation: Sequence[Example] = ()
    """Photos to measure each file on; empty if there are none."""
    min_recall: MinRecall | None = None


def export_run(run: Path, settings: ExportSettings, *, progress: Progress = silent) -> tuple[Path, ...]:
    """Write `RUN/export/<name>-<precision>.tflite` for float32 and every other requested precision.

    int8 uses the run's quantization-aware weights if there are any. With `settings.ptq` it quantizes the float weights
    instead, and the model is called `<name>-ptq`. With `settings.min_recall` every file gets its own threshold, because
    quantization changes the scores.

    Args:
        run: Run folder.
        settings: Precisions, calibration and threshold.
        progress: Called for each file and each photo.

    Returns:
        Paths of the files, float32 first.

    Raises:
        InputError: `run` is not a run folder, its photos have changed, or it lacks the class of `settings.min_recall`.
        ExportError: A file fails its checks or cannot reach the recall. Nothing is written for that precision.
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
        validation=validation if settings.min_recall else _evenly_spread(validation),
        min_recall=settings.min_recall,
    )
    parent = folder.model_file(record.name, "float32")
    files = [parent]
    _write(source, "float32", parent, parent_sha256=None, progress=progress)
    for precision in settings.precisions:
        if precision != "float32":
            files.append(folder.model_file(record.name, precision, ptq=settings.ptq))
            _write(source, precision, files[-1], parent_sha256=sha256_of(parent), progress=progress)
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
    """Write the 1000-class ImageNet classifier of a backbone, with its published size and normalization.

    Args:
        name: Name of the backbone.
        precision: Precision of the file.
        out: File to write, with the suffix `.tflite`.
        alpha: Width multiplier of a MobileNet; None means 1.0.
        weights: As in `starting_weights`.
        crop_fraction: Fraction of each side that the center crop keeps. The published evaluations use
            `BackboneSpec.crop_fraction`; camera users usually expect 1.0.
        calibration: Folder of images, searched with its subfolders. int8 and int16x8 need it.
        calibration_images: Number of images to choose from that folder.
        seed: Seed of that choice.
        progress: Called before and after the export.

    Returns:
        `out`.

    Raises:
        InputError: An argument is invalid, or the weights cannot be found.
        MissingDependency: The package with the weights is not installed.
        ModelFileError: The weights file is of another network.
        ExportError: The file fails its checks. Nothing is written.
    """
    if out.suffix != ".tflite":
        raise InputError(f"expected --out with the suffix .tflite, got {out}")
    if calibration is None and precision in _QUANTIZED:
        raise InputError(f"{precision} needs calibration photos: pass a folder of them with --calibration")
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
    _write(source, precision, out, parent_sha256=None, progress=progress)
    return out


def _weights_license(settings: TrainSettings) -> str:
    """Return the license of a run's pretrained weights. A weights file is assumed to be one of the published files."""
    return "" if settings.weights == "none" else backbone_spec(settings.model, settings.alpha).weights_license


def _quantized_model(folder: RunFolder, record: RunRecord, settings: ExportSettings) -> keras.Model | None:
    if record.qat is None or settings.ptq or "int8" not in settings.precisions:
        return None
    return load_quantization_aware_model(folder, record)


def _write(
    source: _Source, precision: Precision, target: Path, *, parent_sha256: str | None, progress: Progress
) -> None:
    progress(f"exporting {target.name}", 0, 1)
    aware = source.quantized_model if precision == "int8" else None
    images = source.calibration.images if precision in _QUANTIZED and aware is None else ()
    network = aware or (_with_corrected_biases(source.model, source.spec, images) if images else source.model)
    flatbuffer = convert(network, precision, source.spec, images)
    card = _card(
        source,
        precision,
        aware=aware is not None,
        calibrated=aware is not None or bool(images),
        parent_sha256=parent_sha256,
    )
    model = add_metadata(
        flatbuffer,
        name=source.name,
        spec=source.spec,
        classes=len(source.labels),
        weights_license=source.weights_license,
    )
    with atomic_path(target) as temporary:
        temporary.write_bytes(append_associated_files(model, card))
        check_model_file(temporary, card, source.model, source.calibration.images)
        # Rewrite the file after each step: it must contain what running it revealed.
        if source.validation:
            card = _measured_card(temporary, card, source, progress)
            # The threshold in the card influences the ranking in the golden vectors.
            temporary.write_bytes(append_associated_files(model, card))
        temporary.write_bytes(append_associated_files(model, card, golden_vectors(temporary)))
    progress(f"exporting {target.name}", 1, 1)


def _card(
    source: _Source, precision: Precision, *, aware: bool, calibrated: bool, parent_sha256: str | None
) -> ModelCard:
    return ModelCard(
        name=source.name,
        backbone=source.backbone,
        precision=precision,
        quantization="qat" if aware else "none" if precision in ("float32", "float16") else "ptq",
        preprocess=source.spec,
        labels=source.labels,
        dataset=source.dataset,
        calibration=source.calibration.record if calibrated else None,
        parent_sha256=parent_sha256,
        versions=versions_of(VERSIONED_PACKAGES),
        created=datetime.now(UTC),
    )


def _with_corrected_biases(model: keras.Model, spec: PreprocessSpec, images: Sequence[Image]) -> keras.Model:
    folded = fold_model(model)
    # The converter gives every output of a dense layer its own scale.
    correct_biases(folded, normalized_batches(images, spec), dense_per_channel=True)
    return folded


def _measured_card(file: Path, card: ModelCard, source: _Source, progress: Progress) -> ModelCard:
    """Return the card with the requested threshold and the metrics of the file on validation photos."""
    probabilities = file_probabilities(file, source.validation, progress)
    truth = np.array([example.label for example in source.validation], np.intp)
    if request := source.min_recall:
        threshold = pick_threshold(probabilities, truth, source.labels.index(request.label), request)
        card = card.model_copy(update={"threshold": threshold})
    decisions = np.array([decided(row, threshold_of(card)) for row in probabilities])
    metrics = {"validation_accuracy": float(np.mean(decisions == truth)), "validation_images": float(len(truth))}
    return card.model_copy(update={"metrics": metrics})


def _evenly_spread(examples: Sequence[Example]) -> Sequence[Example]:
    """Return at most `_MEASURED_PHOTOS` examples, evenly spread.

    Examples are sorted by class, so the first ones would be of a few classes only.
    """
    if len(examples) <= _MEASURED_PHOTOS:
        return examples
    return [examples[index * len(examples) // _MEASURED_PHOTOS] for index in range(_MEASURED_PHOTOS)]
