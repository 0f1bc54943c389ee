from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError, Interrupted
from edgecnn.core.run.run_folder import RunFolder, RunRecord, read_run
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings
from edgecnn.training.fitting.callbacks import PHASE_TITLES
from edgecnn.training.fitting.journal import is_unfinished
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.qat import train_quantization_aware
from edgecnn.training.train import train
from tests.trained import UNMIRRORED
from tests.training.run_weights import same, stored_weights

TRANSFER = TrainSettings(
    model="mnist_cnn",
    epochs=3,
    batch_size=8,
    # Everything with a state: dropout's generators, momentum, a changing learning rate, blended photos.
    dropout=0.5,
    weight_decay=1e-3,
    # The rate after each third of the warm-up is rounded, so the peak cannot be derived from it.
    warmup_epochs=3,
    mixup=0.3,
    fine_tune_epochs=3,
    unfreeze="all",
    fine_tune_learning_rate=1e-3,
    augment=UNMIRRORED,
)
SCRATCH = TrainSettings(
    model="mnist_cnn", epochs=3, batch_size=8, schedule="cosine", optimizer="sgd", learning_rate=0.05, mixup=0.3
)
QAT = QatSettings(epochs=3, learning_rate=1e-3, batch_size=8, calibration_images=10)

TRAIN = (
    "import sys; from pathlib import Path; from edgecnn.core.settings.command_settings import TrainSettings; "
    "from edgecnn.training.train import train; "
    "train(Path(sys.argv[1]), Path(sys.argv[2]), TrainSettings.model_validate_json(sys.argv[3]))"
)
TRAIN_AWARE = (
    "import sys; from pathlib import Path; from edgecnn.core.settings.command_settings import QatSettings; "
    "from edgecnn.training.qat import train_quantization_aware; "
    "train_quantization_aware(Path(sys.argv[1]), QatSettings.model_validate_json(sys.argv[2]))"
)


def kill_after(epochs: int, state: Path, script: str, *arguments: object) -> None:
    """Train in another process, and kill it with SIGKILL as soon as this many epochs are on disk."""
    command = [sys.executable, "-c", script, *(str(argument) for argument in arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while not (state / f"{epochs}.json").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert is_unfinished(state)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    """Return settings with both phases, for a network small enough to be trained ten times."""
    weights = tmp_path_factory.mktemp("weights") / "pretrained.h5"
    build_backbone(backbone_spec("mnist_cnn"), height=28, width=28, weights=None).save_weights(weights)
    return TRANSFER.model_copy(update={"weights": str(weights)})


@pytest.fixture(scope="module")
def uninterrupted(few_digits: Path, settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "uninterrupted"
    train(few_digits, run, settings)
    return run


def check_equal(run: Path, expected: Path) -> None:
    assert same(stored_weights(run), stored_weights(expected))
    (_, one), (_, other) = read_run(run), read_run(expected)
    assert one.history == other.history
    assert one.metrics == other.metrics
    assert one.status == other.status == "complete"
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("epochs", [1, 4], ids=["head", "fine-tuning"])
def test_a_killed_run_resumes_to_the_bits_of_an_uninterrupted_one(
    epochs: int, uninterrupted: Path, settings: TrainSettings, few_digits: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    kill_after(epochs, folder.unfinished, TRAIN, few_digits, folder.path, settings.model_dump_json())
    assert not folder.record_file.exists()
    train(few_digits, folder.path, settings, resume=True)
    check_equal(folder.path, uninterrupted)


@pytest.fixture(scope="module")
def from_scratch(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "from_scratch"
    train(few_digits, run, SCRATCH)
    return run


def test_a_killed_run_from_scratch_resumes_to_the_bits_of_an_uninterrupted_one(
    from_scratch: Path, few_digits: Path, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    kill_after(1, folder.unfinished, TRAIN, few_digits, folder.path, SCRATCH.model_dump_json())
    train(few_digits, folder.path, SCRATCH, resume=True)
    check_equal(folder.path, from_scratch)


def test_killed_quantization_aware_training_resumes_to_the_bits_of_an_uninterrupted_one(
    from_scratch: Path, tmp_path: Path
) -> None:
    whole, run = (shutil.copytree(from_scratch, tmp_path / name) for name in ("whole", "run"))
    expected = train_quantization_aware(whole, QAT)
    kill_after(1, RunFolder(run).unfinished_qat, TRAIN_AWARE, run, QAT.model_dump_json())
    with pytest.raises(
        InputError, match="unfinished quantization-aware training; continue with --resume, or start over"
    ):
        train_quantization_aware(run, QAT)
    other = QAT.model_copy(update={"learning_rate": 1e-5})
    with pytest.raises(InputError, match="was started with learning-rate"):
        train_quantization_aware(run, other, resume=True)
    changed = shutil.copytree(run, tmp_path / "changed")
    record = train_quantization_aware(changed, other, force=True, resume=True)
    assert record.qat is not None and record.qat.settings == other
    record = train_quantization_aware(run, QAT, resume=True)
    assert record.qat == expected.qat
    assert record.history == expected.history
    assert same(stored_weights(run, "qat.h5"), stored_weights(whole, "qat.h5"))
    assert not list(run.glob(".*"))


def interrupted(few_digits: Path, run: Path, settings: TrainSettings, after: int) -> None:
    """Press Ctrl-C when an epoch begins and `after` epochs are finished."""

    def progress(task: str, done: int, total: int, detail: str = "") -> None:
        is_training = task in PHASE_TITLES.values() and not detail
        if is_training and (RunFolder(run).unfinished / f"{after}.json").exists():
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train(few_digits, run, settings, progress=progress)


@pytest.mark.parametrize("epochs", [2, 3], ids=["within a phase", "between phases"])
def test_an_interrupted_run_is_usable_and_can_be_resumed(
    epochs: int, uninterrupted: Path, settings: TrainSettings, few_digits: Path, tmp_path: Path
) -> None:
    interrupted(few_digits, tmp_path / "run", settings, epochs)
    assert read_run(tmp_path / "run")[1].status == "interrupted"
    train(few_digits, tmp_path / "run", settings, resume=True)
    check_equal(tmp_path / "run", uninterrupted)


def test_resuming_with_other_settings_or_photos_is_refused_and_loses_nothing(
    settings: TrainSettings, few_digits: Path, digits: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    interrupted(few_digits, run, settings, 1)
    other = settings.model_copy(update={"batch_size": 4})
    with pytest.raises(InputError, match=r"was started with batch-size 8, got 4; use the original value"):
        train(few_digits, run, other, resume=True)
    with pytest.raises(InputError, match="was started with photos"):
        train(digits, run, settings, resume=True)
    with pytest.raises(InputError, match="unfinished training run; continue with --resume, or start over"):
        train(few_digits, run, settings)
    assert is_unfinished(RunFolder(run).unfinished)


def test_a_complete_run_is_not_trained_again(uninterrupted: Path, settings: TrainSettings, few_digits: Path) -> None:
    lines: list[str] = []
    before = (uninterrupted / "float.h5").stat().st_mtime_ns
    record = train(few_digits, uninterrupted, settings, resume=True, log=lines.append)
    assert isinstance(record, RunRecord)
    assert lines[-1].endswith("is already complete")
    assert (uninterrupted / "float.h5").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="complete run with other settings or photos"):
        train(few_digits, uninterrupted, settings.model_copy(update={"epochs": 1}), resume=True)


def test_a_state_that_cannot_be_read_is_reported_in_one_line(
    settings: TrainSettings, few_digits: Path, tmp_path: Path
) -> None:
    state = RunFolder(tmp_path / "run").unfinished
    state.mkdir(parents=True)
    (state / "2.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(InputError, match=r"2\.json is corrupted, or from another version of edgecnn; start over"):
        train(few_digits, tmp_path / "run", settings, resume=True)


def test_resume_starts_from_the_beginning_if_there_is_nothing_to_resume(few_digits: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(few_digits, tmp_path / "run", SCRATCH.model_copy(update={"epochs": 1}), resume=True, log=lines.append)
    assert lines[-1:] == [f"nothing to resume in {tmp_path / 'run'}: starting from the beginning"]
    assert read_run(tmp_path / "run")[1].status == "complete"
