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
from tests.trained import UNMIRRORED

QUICK = QatSettings(epochs=2, learning_rate=1e-2, batch_size=8, calibration_images=20)


@pytest.fixture(scope="module")
def hardly_trained(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a frozen backbone and a head that knows next to nothing yet."""
    run = tmp_path_factory.mktemp("runs") / "hardly_trained"
    train(few_digits, run, TrainSettings(height=32, epochs=1, learning_rate=1e-6, augment=UNMIRRORED))
    return run


@pytest.fixture(scope="module")
def improved(hardly_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = shutil.copytree(hardly_trained, tmp_path_factory.mktemp("qat") / "improved")
    train_quantization_aware(run, QUICK)
    return run


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


def test_the_frozen_backbone_stays_as_it_was_and_the_head_moves(improved: Path) -> None:
    folder, record = read_run(improved)
    spec, train = record.preprocess, dataset_of_run(record).splits[TRAIN]
    photos = calibrate_with(train, spec, QUICK.calibration_images, QUICK.seed).images
    start = calibrated_model(load_float_model(folder, record), spec, photos)
    aware = load_quantization_aware_model(folder, record)
    moved = set()
    for layer in start.layers:
        if not (isinstance(layer, QuantizedLayer) and kernel_name(layer.layer)):
            continue
        # Behind kernel and bias come the ranges.
        before, now = (model.get_layer(layer.name).get_weights()[:2] for model in (start, aware))
        if not all(np.array_equal(one, other) for one, other in zip(now, before, strict=True)):
            moved.add(layer.name)
    assert moved == {f"quant_{HEAD}"}


def test_the_float_model_of_the_run_is_left_alone(hardly_trained: Path, improved: Path) -> None:
    assert (improved / "float.h5").read_bytes() == (hardly_trained / "float.h5").read_bytes()
    (_, before), (_, after) = read_run(hardly_trained), read_run(improved)
    assert after.metrics == before.metrics
    assert after.history[: len(before.history)] == before.history


def test_what_was_trained_is_replaced_by_force_alone(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    other = QUICK.model_copy(update={"epochs": 0})
    for resume in (False, True):
        with pytest.raises(InputError, match="quantization-aware weights already; add --force to replace them"):
            train_quantization_aware(run, other, resume=resume)
    told: list[str] = []
    assert train_quantization_aware(run, QUICK, resume=True, log=told.append) == read_run(improved)[1]
    assert told == [f"{run} has its quantization-aware weights already"]


def test_no_epochs_is_the_calibrated_start(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    record = train_quantization_aware(run, QUICK.model_copy(update={"epochs": 0}), force=True)
    assert record.qat is not None
    assert record.qat.best_epoch == 0
    assert record.qat.val_accuracy == record.qat.start_val_accuracy
    assert {epoch.phase for epoch in record.history} == {"head"}
    assert read_run(run)[1] == record


def interrupt(task: str, done: int, total: int, detail: str = "") -> None:
    """Ctrl-C when the first epoch begins."""
    if task == "quantization-aware training":
        raise KeyboardInterrupt


def test_an_interrupt_before_an_epoch_leaves_the_weights_that_were_trained(improved: Path, tmp_path: Path) -> None:
    run = shutil.copytree(improved, tmp_path / "run")
    with pytest.raises(Interrupted, match="holds the weights that it had"):
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
    # It is no training that anybody would have to be asked about.
    assert train_quantization_aware(run, QUICK.model_copy(update={"epochs": 0})).qat != record.qat


def test_the_result_is_never_worse_than_its_start(qat_run: Path) -> None:
    _, record = read_run(qat_run)
    assert record.qat is not None
    assert record.qat.val_accuracy >= record.qat.start_val_accuracy
    # The calibrated start is already about as good as the float model.
    assert record.qat.start_val_accuracy >= record.metrics["validation_accuracy"] - 0.04


def test_what_is_no_run_or_has_lost_its_photos_is_one_clear_line(hardly_trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        train_quantization_aware(tmp_path, QUICK)
    run = shutil.copytree(hardly_trained, tmp_path / "run")
    folder, record = read_run(run)
    moved = record.model_copy(update={"data": tmp_path / "gone"})
    folder.record_file.write_text(moved.model_dump_json())
    with pytest.raises(DataError, match=r"no such folder: .*gone"):
        train_quantization_aware(run, QUICK)
    assert not folder.qat_weights.exists()
