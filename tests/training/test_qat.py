from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgecnn.core.dataset import TRAIN
from edgecnn.core.errors import DataError, InputError, Interrupted
from edgecnn.core.run.run_dataset import dataset_of_run
from edgecnn.core.run.run_folder import read_run
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings
from edgecnn.training.networks.classifier_model import HEAD, load_float_model
from edgecnn.training.qat import calibrated_model, load_quantization_aware_model, train_quantization_aware
from edgecnn.training.quantization.calibration import calibrate_with
from edgecnn.training.quantization.fake_quant_layers import QuantizedLayer, kernel_name
from edgecnn.training.train import train
from tests.build_once import build_once
from tests.trained import UNMIRRORED

QUICK = QatSettings(epochs=2, learning_rate=1e-2, batch_size=8, calibration_images=20)


@pytest.fixture(scope="module")
def hardly_trained(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with a frozen backbone and an almost untrained head."""

    def build(run: Path) -> None:
        train(few_digits, run, TrainSettings(height=32, epochs=1, learning_rate=1e-6, augment=UNMIRRORED))

    return build_once(tmp_path_factory, "hardly_trained", build)


@pytest.fixture(scope="module")
def improved(hardly_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(run: Path) -> None:
        shutil.copytree(hardly_trained, run)
        train_quantization_aware(run, QUICK)

    return build_once(tmp_path_factory, "improved", build)


def test_the_best_epoch_by_validation_accuracy_is_kept(improved: Path) -> None:
    folder, record = read_run(improved)
    assert record.qat is not None
    assert record.qat.settings == QUICK
    epochs = [epoch for epoch in record.history if epoch.phase == "qat"]
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert record.qat.best_epoch >= 1
    best = epochs[record.qat.best_epoch - 1].val_accuracy
    assert best == record.qat.val_accuracy == max(epoch.val_accuracy for epoch in epochs)
    assert best > record.qat.start_val_accuracy
    assert folder.qat_weights.exists()
    assert not list(improved.glob(".*"))


def test_only_the_head_changes_over_a_frozen_backbone(improved: Path) -> None:
    folder, record = read_run(improved)
    spec, train = record.preprocess, dataset_of_run(record).splits[TRAIN]
    photos = calibrate_with(train, spec, QUICK.calibration_images, QUICK.seed).images
    start = calibrated_model(load_float_model(folder, record), spec, photos)
    aware = load_quantization_aware_model(folder, record)
    changed = set()
    for layer in start.layers:
        if not (isinstance(layer, QuantizedLayer) and kernel_name(layer.layer)):
            continue
        # The kernel and the bias come first, then the ranges.
        before, now = (model.get_layer(layer.name).get_weights()[:2] for model in (start, aware))
        if not all(np.array_equal(one, other) for one, other in zip(now, before, strict=True)):
            changed.add(layer.name)
    assert changed == {f"quant_{HEAD}"}


def test_the_float_model_of_the_run_is_left_alone(hardly_trained: Path, improved: Path) -> None:
    assert (improved / "float.h5").read_bytes() == (hardly_trained / "float.h5").read_bytes()
    (_, before), (_, after) = read_run(hardly_trained), read_run(improved)
    assert after.metrics == before.metrics
    assert after.history[: len(before.history)] == before.history


def test_existing_weights_are_replaced_only_with_force(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    other = QUICK.model_copy(update={"epochs": 0})
    for resume in (False, True):
        with pytest.raises(InputError, match="already has quantization-aware weights; add --force to replace them"):
            train_quantization_aware(run, other, resume=resume)
    lines: list[str] = []
    assert train_quantization_aware(run, QUICK, resume=True, log=lines.append) == read_run(improved)[1]
    assert lines == [f"{run} already has its quantization-aware weights"]


def test_zero_epochs_give_the_calibrated_start(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    record = train_quantization_aware(run, QUICK.model_copy(update={"epochs": 0}), force=True)
    assert record.qat is not None
    assert record.qat.best_epoch == 0
    assert record.qat.val_accuracy == record.qat.start_val_accuracy
    assert {epoch.phase for epoch in record.history} == {"head"}
    assert read_run(run)[1] == record


def interrupt(task: str, done: int, total: int, detail: str = "") -> None:
    """Press Ctrl-C when the first epoch begins."""
    if task == "quantization-aware training":
        raise KeyboardInterrupt


def test_an_interrupt_before_the_first_epoch_keeps_earlier_weights(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    with pytest.raises(Interrupted, match="keeps the weights that it had"):
        train_quantization_aware(run, QUICK, force=True, progress=interrupt)
    for name in ("run.json", "qat.h5"):
        assert (run / name).read_bytes() == (improved / name).read_bytes()
    assert not list(run.glob(".*"))


def test_an_interrupt_keeps_the_calibrated_start(hardly_trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(hardly_trained, tmp_path / "run")
    with pytest.raises(Interrupted, match=r"after 0 epochs; .* can be exported"):
        train_quantization_aware(run, QUICK, progress=interrupt)
    folder, record = read_run(run)
    assert record.qat is not None
    assert record.qat.best_epoch == 0
    load_quantization_aware_model(folder, record)
    # Nothing was trained, so it is replaced without --force.
    assert train_quantization_aware(run, QUICK.model_copy(update={"epochs": 0})).qat != record.qat


def test_the_result_is_never_worse_than_its_start(qat_run: Path) -> None:
    _, record = read_run(qat_run)
    assert record.qat is not None
    assert record.qat.val_accuracy >= record.qat.start_val_accuracy
    # The calibrated start is already about as good as the float model.
    assert record.qat.start_val_accuracy >= record.metrics["validation_accuracy"] - 0.04


def test_a_folder_without_a_run_or_a_run_without_its_photos_is_refused(hardly_trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        train_quantization_aware(tmp_path, QUICK)
    run = shutil.copytree(hardly_trained, tmp_path / "run")
    folder, record = read_run(run)
    moved = record.model_copy(update={"data": tmp_path / "gone"})
    folder.record_file.write_text(moved.model_dump_json())
    with pytest.raises(DataError, match=r"no such folder: .*gone"):
        train_quantization_aware(run, QUICK)
    assert not folder.qat_weights.exists()
