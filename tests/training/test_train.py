from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import DataError, InputError, Interrupted
from edgecnn.core.run.run_folder import RunRecord, read_run
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.training.export import export_run
from edgecnn.training.fitting.journal import is_unfinished
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import block_of, blocks, build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import HEAD, load_float_model
from edgecnn.training.train import train
from tests.trained import FEW_DIGITS, UNMIRRORED
from tests.training.run_weights import same, stored_weights

QUICK = TrainSettings(height=32, epochs=2, batch_size=8, augment=UNMIRRORED)
FINE_TUNED = QUICK.model_copy(update={"fine_tune_epochs": 2, "unfreeze": 2, "fine_tune_learning_rate": 1e-3})


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Recorder:
    """A `Progress` that records the tasks, and presses Ctrl-C once when `interrupt` returns True."""

    def __init__(self, interrupt: Callable[[str, str], bool] = lambda task, detail: False) -> None:
        self.tasks: list[str] = []
        self.interrupt = interrupt
        self.interrupted = False

    def __call__(self, task: str, done: int, total: int, detail: str = "") -> None:
        assert 0 <= done <= total
        if task not in self.tasks:
            self.tasks.append(task)
        if not self.interrupted and self.interrupt(task, detail):
            self.interrupted = True
            raise KeyboardInterrupt


def after_epochs(count: int) -> Callable[[str, str], bool]:
    """Return a condition that is true when `count` epochs have been validated."""
    left = [count]

    def reached(task: str, detail: str) -> bool:
        left[0] -= detail.startswith("validation")
        return left[0] == 0

    return reached


@pytest.fixture(scope="module")
def head_only(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "head_only"
    train(few_digits, run, QUICK)
    return run


@pytest.fixture(scope="module")
def fine_tuned(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "fine_tuned"
    train(few_digits, run, FINE_TUNED)
    return run


# ---- the run folder


def test_a_trained_run_is_far_better_than_chance(trained_run: Path) -> None:
    _, record = read_run(trained_run)
    assert record.metrics["test_accuracy"] > 0.85
    assert record.metrics["validation_accuracy"] > 0.85


def test_a_run_folder_has_its_record_weights_charts_and_logs(trained_run: Path) -> None:
    names = {path.name for path in trained_run.iterdir()}
    charts = {"learning_curves.svg", "confusion_matrix.svg"}
    assert names == {"run.json", "float.h5", "tensorboard", "mistakes.png"} | charts
    assert cv2.imread(str(trained_run / "mistakes.png")) is not None
    for chart in charts:
        assert ElementTree.parse(trained_run / chart).getroot().tag.endswith("svg")


def test_a_run_shows_its_random_changes_to_photos(fine_tuned: Path) -> None:
    assert cv2.imread(str(fine_tuned / "augmentation.png")) is not None


def test_a_run_logs_training_and_validation(trained_run: Path) -> None:
    assert {path.parent.name for path in trained_run.rglob("events*")} == {"train", "validation"}


def test_the_record_contains_everything_that_later_commands_need(trained_run: Path, digits: Path) -> None:
    folder, record = read_run(trained_run)
    assert folder.path == trained_run
    assert (record.name, record.status, record.backbone) == ("digits", "complete", "efficientnet_lite0")
    assert record.settings.height == 64
    assert (record.preprocess.height, record.preprocess.width) == (64, 64)
    assert (record.preprocess.mean[0], record.preprocess.std[0]) == (127, 128)
    assert record.labels == tuple("0123456789")
    assert record.data == digits.resolve()
    assert record.dataset.fingerprint == scan_dataset(digits).fingerprint
    assert sum(record.dataset.counts.values()) == 1797
    assert record.class_counts["test"]["3"] == len(list((digits / "test" / "3").iterdir()))
    assert record.unreadable == ()
    assert record.qat is None
    assert {"edgecnn", "tensorflow", "numpy"} <= record.versions.keys()


def test_the_history_has_every_epoch_of_every_phase(fine_tuned: Path) -> None:
    _, record = read_run(fine_tuned)
    phases = [(epoch.phase, epoch.epoch) for epoch in record.history]
    assert phases == [("head", 1), ("head", 2), ("fine_tune", 1), ("fine_tune", 2)]
    assert all(math.isfinite(epoch.loss) for epoch in record.history)
    assert [epoch.learning_rate for epoch in record.history] == pytest.approx([1e-3] * 4)


def test_the_recorded_accuracy_is_that_of_the_saved_weights(head_only: Path, few_digits: Path) -> None:
    folder, record = read_run(head_only)
    model = load_float_model(folder, record)
    photos = scan_dataset(few_digits).splits["test"]
    images = np.stack(
        [cv2.resize(cv2.imread(str(photo.path)), (32, 32), interpolation=cv2.INTER_AREA) for photo in photos]
    )
    decisions = model(((images - 127.0) / 128.0).astype(np.float32)).numpy().argmax(axis=1)
    accuracy = float((decisions == [photo.label for photo in photos]).mean())
    assert record.metrics["test_accuracy"] == pytest.approx(accuracy)


# ---- features are computed once


def test_a_second_run_takes_the_features_from_the_cache(
    head_only: Path, few_digits: Path, cache: Path, tmp_path: Path
) -> None:
    def features() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in cache.glob("features-*")}

    before, recorder = features(), Recorder()
    train(few_digits, tmp_path / "again", QUICK, progress=recorder)
    assert "frozen features (cached)" in recorder.tasks
    assert "frozen features" not in recorder.tasks
    assert "preparing photos" not in recorder.tasks
    assert features() == before
    assert len(before) >= 2


# ---- the seed


def test_the_same_seed_gives_the_same_run_to_the_last_bit(
    fine_tuned: Path, few_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path / "another_cache"))
    train(few_digits, tmp_path / "again", FINE_TUNED)
    assert same(stored_weights(tmp_path / "again"), stored_weights(fine_tuned))
    (_, one), (_, other) = read_run(fine_tuned), read_run(tmp_path / "again")
    assert one.metrics == other.metrics
    assert one.history == other.history


def test_another_seed_gives_another_run(head_only: Path, few_digits: Path, tmp_path: Path) -> None:
    train(few_digits, tmp_path / "other", QUICK.model_copy(update={"seed": 1}))
    one, other = stored_weights(head_only), stored_weights(tmp_path / "other")
    assert one.keys() == other.keys()
    assert {name.split("/")[0] for name in one if not np.array_equal(one[name], other[name])} == {HEAD}


# ---- fine-tuning


def test_fine_tuning_changes_only_the_last_blocks(fine_tuned: Path) -> None:
    model = load_float_model(*read_run(fine_tuned))
    pretrained = build_backbone(backbone_spec("efficientnet_lite0"), height=32, width=32, weights="imagenet")
    last = set(blocks(model)[-2:])
    for layer in pretrained.layers:
        moved = [
            not np.array_equal(trained, start)
            for trained, start in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True)
        ]
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        expected = block_of(layer.name) in last and not normalizes
        assert moved == [expected] * len(moved), layer.name


def test_fine_tuning_lowers_the_validation_loss(fine_tuned: Path) -> None:
    _, record = read_run(fine_tuned)
    lowest = {
        phase: min(epoch.val_loss for epoch in record.history if epoch.phase == phase)
        for phase in ("head", "fine_tune")
    }
    assert lowest["fine_tune"] < lowest["head"]


def test_fine_tuning_without_an_improvement_keeps_the_weights_of_the_head_phase(
    head_only: Path, few_digits: Path, tmp_path: Path
) -> None:
    ruinous = FINE_TUNED.model_copy(update={"fine_tune_learning_rate": 1e18, "unfreeze": 1})
    train(few_digits, tmp_path / "run", ruinous)
    assert same(stored_weights(tmp_path / "run"), stored_weights(head_only))
    (_, record), (_, before) = read_run(tmp_path / "run"), read_run(head_only)
    # One is measured with the whole network, the other with its features.
    assert record.metrics == pytest.approx(before.metrics, abs=1e-4)
    assert [epoch.phase for epoch in record.history] == ["head", "head", "fine_tune", "fine_tune"]


def test_a_history_with_nan_and_infinity_can_be_read_back(head_only: Path, tmp_path: Path) -> None:
    _, record = read_run(head_only)
    diverged = record.history[0].model_copy(update={"loss": math.nan, "val_loss": math.inf})
    content = record.model_copy(update={"history": (diverged,)}).model_dump_json()
    json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    (epoch,) = RunRecord.model_validate_json(content).history
    assert math.isnan(epoch.loss)
    assert epoch.val_loss == math.inf


def test_unfreezing_more_blocks_than_the_network_has_is_refused(few_digits: Path, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"fine_tune_epochs": 1, "unfreeze": 19})
    with pytest.raises(InputError, match="efficientnet_lite0 has 18 blocks, got --unfreeze 19"):
        train(few_digits, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


# ---- Ctrl-C


def test_an_interrupt_leaves_a_run_that_can_be_exported(few_digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = QUICK.model_copy(update={"epochs": 50})
    with pytest.raises(
        Interrupted,
        match=r"after 2 epochs; .*run contains the best of them and can be exported",
    ):
        train(few_digits, run, settings, progress=Recorder(after_epochs(2)))
    _, record = read_run(run)
    assert record.status == "interrupted"
    assert len(record.history) == 2
    assert {"validation_accuracy", "test_accuracy"} <= record.metrics.keys()
    (model,) = export_run(run, ExportSettings(precisions=("float32",)))
    assert model.name == "run-float32.tflite"


def test_an_interrupt_in_fine_tuning_keeps_the_head(head_only: Path, few_digits: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(few_digits, tmp_path / "run", FINE_TUNED, progress=Recorder(lambda task, _: task == "fine-tuning"))
    assert same(stored_weights(tmp_path / "run"), stored_weights(head_only))
    assert read_run(tmp_path / "run")[1].status == "interrupted"


@pytest.mark.parametrize("task", ["reading photos", "frozen features (cached)", "training the head"])
def test_an_interrupt_before_the_first_epoch_leaves_nothing(
    task: str, head_only: Path, few_digits: Path, tmp_path: Path
) -> None:
    recorder = Recorder(lambda current, _: current == task)
    with pytest.raises(KeyboardInterrupt):
        train(few_digits, tmp_path / "run", QUICK, progress=recorder)
    assert recorder.interrupted
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_before_the_first_epoch_leaves_an_earlier_run_alone(
    head_only: Path, few_digits: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(head_only, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(few_digits, run, QUICK, force=True, progress=Recorder(lambda task, _: task == "training the head"))
    assert files(run) == files(head_only)


COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import edgecnn.cli as cli; cli.main()"
)
"""Restores the handler of Ctrl-C: a shell makes its background jobs ignore it, and a test suite may be one."""


def test_ctrl_c_at_the_command_leaves_a_run_and_status_130(few_digits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # At this small rate every epoch is a little better than the one before, so the training does not stop early.
    options = ["--height", "32", "--epochs", "1000000", "--learning-rate", "1e-6", "--dropout", "0"]
    command = [sys.executable, "-c", COMMAND, "train", str(few_digits), "--out", str(run), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not is_unfinished(run / ".unfinished"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert "can be exported, or continue with --resume" in err.splitlines()[-1]
    assert "Traceback" not in err
    _, record = read_run(run)
    assert record.status == "interrupted"
    assert record.history


# ---- existing folders


def test_an_existing_run_is_refused_and_left_alone(head_only: Path, few_digits: Path) -> None:
    before = files(head_only)
    with pytest.raises(InputError, match="already contains a run; choose another --out, or add --force"):
        train(few_digits, head_only, QUICK)
    assert files(head_only) == before


def test_force_replaces_a_run_and_everything_derived_from_it(head_only: Path, few_digits: Path, tmp_path: Path) -> None:
    run = shutil.copytree(head_only, tmp_path / "run")
    outdated = [run / "qat.h5", run / "report.html", run / "export" / "a.tflite", run / "results" / "a.benchmark.json"]
    for path in outdated:
        path.parent.mkdir(exist_ok=True)
        path.write_text("old")
    (run / "notes.txt").write_text("mine")
    train(few_digits, run, QUICK.model_copy(update={"epochs": 1}), force=True)
    assert len(read_run(run)[1].history) == 1
    assert not any(path.exists() for path in outdated)
    assert not files(run / "tensorboard").keys() & files(head_only / "tensorboard").keys()
    assert files(run / "tensorboard")
    assert (run / "notes.txt").read_text() == "mine"


def test_a_file_as_run_folder_is_refused(few_digits: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match="is a file, not a folder; choose another --out"):
        train(few_digits, tmp_path / "run", QUICK, force=True)
    assert (tmp_path / "run").read_text() == "a file"


# ---- data


@pytest.fixture
def unsplit(few_digits: Path, tmp_path: Path) -> Path:
    """Return a folder of class folders without splits, with one unreadable file."""
    folder = shutil.copytree(few_digits / "train", tmp_path / "unsplit")
    (folder / "1" / "broken.png").write_bytes(b"not an image")
    return folder


def test_missing_splits_are_created_and_an_unreadable_photo_is_recorded(unsplit: Path, tmp_path: Path) -> None:
    record = train(unsplit, tmp_path / "run", QUICK.model_copy(update={"epochs": 1}))
    for split in ("train", "validation", "test"):
        assert all(count > 0 for count in record.class_counts[split].values())
    assert sum(record.dataset.counts.values()) == 3 * FEW_DIGITS["train"]
    assert record.unreadable == (str(unsplit / "1" / "broken.png"),)
    assert read_run(tmp_path / "run")[1] == record


def test_strict_refuses_an_unreadable_photo(unsplit: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 37 photos cannot be decoded, the first is .*broken\.png"):
        train(unsplit, tmp_path / "run", QUICK, strict=True)
    assert not (tmp_path / "run").exists()


def test_one_class_is_not_enough(unsplit: Path, tmp_path: Path) -> None:
    for digit in "12":
        shutil.rmtree(unsplit / digit)
    with pytest.raises(DataError, match="has one class, '0'; a classifier needs at least two"):
        train(unsplit, tmp_path / "run", QUICK)


def test_a_class_of_one_photo_is_not_enough(unsplit: Path, tmp_path: Path) -> None:
    for photo in sorted((unsplit / "2").iterdir())[1:]:
        photo.unlink()
    with pytest.raises(DataError, match="class '2' has 1 readable training photos"):
        train(unsplit, tmp_path / "run", QUICK)


def test_a_missing_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*nowhere"):
        train(tmp_path / "nowhere", tmp_path / "run", QUICK)
    assert list(tmp_path.iterdir()) == []
