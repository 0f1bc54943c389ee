"""Training on several machines, simulated by processes on the loopback interface."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.run.run_folder import RunFolder, read_run
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.training.fitting.distribution import Workers, building, execution_of, parse_workers
from edgecnn.training.fitting.journal import is_unfinished
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.train import train
from tests.trained import UNMIRRORED
from tests.training.run_weights import same, stored_weights

TRANSFER = TrainSettings(
    model="mnist_cnn",
    epochs=3,
    batch_size=12,
    dropout=0.0,
    learning_rate=3e-3,
    fine_tune_epochs=2,
    fine_tune_learning_rate=1e-3,
    unfreeze="all",
    augment=UNMIRRORED,
)
TRANSFER_OPTIONS = [
    *("--model", "mnist_cnn", "--epochs", "3", "--batch-size", "12", "--dropout", "0", "--learning-rate", "3e-3"),
    *("--fine-tune-epochs", "2", "--fine-tune-learning-rate", "1e-3", "--unfreeze", "all", "--augment", "flip=0"),
]
# The network has batch normalization, whose statistics must be equal on all workers.
SCRATCH_OPTIONS = ["--model", "mobilenet_v1", "--alpha", "0.25", "--weights", "none", "--height", "32", "--epochs", "3"]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def start_workers(data: Path, runs: list[Path], *options: str) -> list[subprocess.Popen[str]]:
    """Start `edgecnn train` as two workers, each with its own run folder as on separate machines."""
    addresses = ",".join(f"127.0.0.1:{port}" for port in free_ports(2))
    return [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "edgecnn", "train", str(data), "--out", str(run)),
                *("--workers", addresses, "--rank", str(rank), *options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, run in enumerate(runs)
    ]


def wait_for(processes: list[subprocess.Popen[str]], timeout_s: float = 240) -> list[tuple[int, str]]:
    """Return the exit status and stderr of each process."""
    try:
        errors = [process.communicate(timeout=timeout_s)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def digests(results: list[tuple[int, str]]) -> list[str]:
    """Return the hash of the final weights that each worker has logged."""
    return [next(line for line in error.splitlines() if "trained weights" in line).split()[-1] for _, error in results]


@pytest.mark.slow
def test_two_workers_end_with_equal_weights_and_the_accuracy_of_one_process(few_digits: Path, tmp_path: Path) -> None:
    weights, alone = tmp_path / "pretrained.h5", tmp_path / "alone"
    build_backbone(backbone_spec("mnist_cnn"), height=28, width=28, weights=None).save_weights(weights)
    train(few_digits, alone, TRANSFER.model_copy(update={"weights": str(weights)}))
    runs = [tmp_path / "chief", tmp_path / "second"]
    results = wait_for(start_workers(few_digits, runs, *TRANSFER_OPTIONS, "--weights", str(weights)))
    assert [status for status, _ in results] == [0, 0], results
    (_, expected), (_, record) = read_run(alone), read_run(runs[0])
    assert (record.execution.workers, record.execution.replicas) == (2, 2)
    assert record.metrics["validation_accuracy"] == pytest.approx(expected.metrics["validation_accuracy"], abs=0.06)
    for one, other in zip(record.history, expected.history, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-2)
    assert not runs[1].exists()
    one, other = digests(results)
    assert one == other


@pytest.mark.slow
def test_a_worker_that_dies_is_reported_and_the_run_can_be_resumed(few_digits: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "chief", tmp_path / "second"]
    chief, second = start_workers(few_digits, runs, *SCRATCH_OPTIONS)
    state = runs[1] / ".unfinished-1"
    while not (state / "1.json").exists():
        assert second.poll() is None, second.communicate()
        time.sleep(0.01)
    second.kill()
    ((status, error),) = wait_for([chief])
    assert status == 1
    assert "worker 1 stopped or cannot be reached; start all 2 again with --resume" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert is_unfinished(RunFolder(runs[0]).unfinished)
    results = wait_for(start_workers(few_digits, runs, *SCRATCH_OPTIONS, "--resume"))
    assert [status for status, _ in results] == [0, 0], results
    assert [(epoch.phase, epoch.epoch) for epoch in read_run(runs[0])[1].history] == [("scratch", n) for n in (1, 2, 3)]
    one, other = digests(results)
    assert one == other


# ---- naming the workers


def test_workers_are_named_by_options_or_by_tf_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert parse_workers(None, None) is None
    expected = Workers(("a:1", "b:2"), 1)
    assert parse_workers("a:1, b:2", 1) == expected
    cluster = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert parse_workers(None, None) == expected


@pytest.mark.parametrize(
    ("addresses", "rank", "message"),
    [
        ("a:1,b", 0, "expected host:port,host:port,..., got 'b' among them"),
        ("a:1,b:2", None, "expected a number from 0 to 1, one for each worker, got None"),
        ("a:1,b:2", 2, "expected a number from 0 to 1, one for each worker, got 2"),
        (None, 1, "--rank 1 needs --workers"),
    ],
)
def test_invalid_workers_are_refused(
    addresses: str | None, rank: int | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match=message.replace(".", r"\.")):
        parse_workers(addresses, rank)


def test_an_invalid_tf_config_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(InputError, match="expected TF_CONFIG such as"):
        parse_workers(None, None)


# ---- precision


def test_mixed_precision_keeps_weights_and_probabilities_in_float32() -> None:
    execution = execution_of(TrainSettings(mixed_precision=True, xla=True), None)
    assert execution.record.mixed_precision and execution.record.xla
    with building(execution):
        layer = keras.layers.Dense(3)
        layer.build((None, 4))
    assert layer.compute_dtype == "float16"
    assert layer.kernel.dtype == "float32"
    assert keras.mixed_precision.global_policy().name == "float32"


def test_mixed_precision_and_xla_are_off_without_a_gpu() -> None:
    record = execution_of(TrainSettings(), None).record
    assert (record.device, record.mixed_precision, record.xla) == ("CPU", False, False)


@pytest.mark.slow
def test_a_compiled_run_in_mixed_precision_is_stored_in_float32(few_digits: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        # The network has no maximum: XLA refuses its gradient if an earlier test has requested repeatable ones.
        model="mobilenet_v1",
        alpha=0.25,
        weights="none",
        height=32,
        mixed_precision=True,
        xla=True,
        epochs=1,
        augment=UNMIRRORED,
    )
    record = train(few_digits, tmp_path / "run", settings)
    assert record.execution.mixed_precision
    assert {str(array.dtype) for array in stored_weights(tmp_path / "run").values()} == {"float32"}
    assert not same(stored_weights(tmp_path / "run"), {})
