"""The run folder: what `edgecnn train` leaves and every later command starts from."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecnn.core.atomic import write_json, write_text
from edgecnn.core.errors import InputError, first_problem
from edgecnn.core.model_file.card import DatasetRecord
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings

RUN_FILE = "run.json"
RUN_VERSION: Final = 2

Phase = Literal["head", "fine_tune", "scratch", "qat"]


class EpochRecord(BaseModel):
    """One epoch of one phase. A loss that has diverged is written as text, since JSON has neither NaN nor infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    phase: Phase
    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    monitored: float
    """What `TrainSettings.monitor` names; of `qat` the validation accuracy."""
    learning_rate: float


class ExecutionRecord(BaseModel):
    """What a run was trained on, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    """Such as `CPU`, or the name of a GPU."""
    replicas: int
    """Copies of the network that were trained side by side."""
    workers: int
    mixed_precision: bool
    xla: bool


class QatRecord(BaseModel):
    """The quantization-aware part of a run; epoch 0 is the calibrated start, before any training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: QatSettings
    best_epoch: int
    val_accuracy: float
    start_val_accuracy: float


class RunRecord(BaseModel):
    """The content of `run.json`. `data` is the folder the run was trained on, as an absolute path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2] = RUN_VERSION
    name: str
    created: datetime
    status: Literal["complete", "interrupted"]
    backbone: str
    settings: TrainSettings
    preprocess: PreprocessSpec
    labels: tuple[str, ...]
    data: Path
    dataset: DatasetRecord
    class_counts: dict[str, dict[str, int]]
    unreadable: tuple[str, ...] = ()
    history: tuple[EpochRecord, ...] = ()
    metrics: dict[str, float] = {}
    execution: ExecutionRecord
    qat: QatRecord | None = None
    versions: dict[str, str] = {}


class RunFolder:
    """Names the files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / RUN_FILE
        self.float_weights = path / "float.h5"
        self.qat_weights = path / "qat.h5"
        self.unfinished = path / ".unfinished"
        """What `--resume` goes on from; gone when a run is complete."""
        self.unfinished_qat = path / ".unfinished-qat"
        self.export = path / "export"
        self.results = path / "results"
        self.tensorboard = path / "tensorboard"
        self.report = path / "report.html"

    def model_file(self, name: str, precision: str, *, ptq: bool = False) -> Path:
        """Return the path of an exported model.

        Args:
            name: Name of the run.
            precision: Precision of the model.
            ptq: Whether `ExportSettings.ptq` is set. The name of an int8 file then contains `-ptq`, so that it does not
                replace the file with quantization-aware weights.

        Returns:
            `export/<name>-<precision>.tflite`, or `export/<name>-ptq-int8.tflite`.
        """
        suffix = "-ptq" if ptq and precision == "int8" else ""
        return self.export / f"{name}{suffix}-{precision}.tflite"


def read_run(path: Path) -> tuple[RunFolder, RunRecord]:
    """Opens a run folder. Raises `InputError` for one that is not, or is of another version."""
    folder = RunFolder(path)
    try:
        content = folder.record_file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path} is not a run folder: it has no {RUN_FILE}; make one with edgecnn train DATA --out {path}"
        ) from None
    try:
        version = dict(json.loads(content)).get("format_version")
    except (ValueError, TypeError):
        raise InputError(f"{folder.record_file} is not valid JSON; train again") from None
    if version != RUN_VERSION:
        raise InputError(
            f"{path} is a run folder of version {version}, this edgecnn reads version {RUN_VERSION}; "
            "use the edgecnn that made it, or train again"
        )
    try:
        return folder, RunRecord.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{folder.record_file} does not hold: {first_problem(error)}") from None


def write_run(folder: RunFolder, record: RunRecord) -> None:
    """Writes `run.json` atomically."""
    write_text(folder.record_file, record.model_dump_json(indent=1) + "\n")


def run_of(model: Path) -> RunFolder | None:
    """The run folder that a model file was exported into, if it lies in one."""
    folder = RunFolder(model.resolve().parent.parent)
    return folder if model.resolve().parent == folder.export and folder.record_file.exists() else None


def save_result(model: Path, kind: Literal["evaluation", "benchmark"], record: dict[str, Any]) -> Path | None:
    """Keeps a result of a model that lies in a run folder as `RUN/results/<model>.<kind>.json`, for its report."""
    folder = run_of(model)
    if folder is None:
        return None
    path = folder.results / f"{model.stem}.{kind}.json"
    write_json(path, record)
    return path


def read_results(folder: RunFolder, kind: Literal["evaluation", "benchmark"]) -> list[tuple[str, dict[str, Any]]]:
    """The saved `evaluation` or `benchmark` records of a run's models, by model name."""
    files = sorted(folder.results.glob(f"*.{kind}.json"))
    return [(file.name.removesuffix(f".{kind}.json"), json.loads(file.read_text())) for file in files]
