"""The run folder, which `edgecnn train` creates and every later command starts from."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgecnn.core.atomic import write_text
from edgecnn.core.errors import InputError, first_problem
from edgecnn.core.model_file.card import DatasetRecord
from edgecnn.core.preprocess import PreprocessSpec
from edgecnn.core.settings.command_settings import QatSettings, TrainSettings

RUN_FILE = "run.json"
RUN_VERSION: Final = 2

Phase = Literal["head", "fine_tune", "scratch", "qat"]


class EpochRecord(BaseModel):
    """One epoch of one phase. A diverged value is written as text, since JSON has neither NaN nor infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    phase: Phase
    """The phase of training."""
    epoch: int
    """Number of the epoch within its phase, from 1."""
    loss: float
    """Training loss."""
    accuracy: float
    """Training accuracy."""
    val_loss: float
    """Validation loss."""
    val_accuracy: float
    """Validation accuracy."""
    monitored: float
    """The metric in `settings.monitor`; the validation accuracy for `qat`."""
    learning_rate: float
    """Learning rate."""


class ExecutionRecord(BaseModel):
    """Hardware and options of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str
    """`CPU`, or the name of a GPU."""
    replicas: int
    """Copies of the network that were trained in parallel."""
    workers: int
    """Machines that trained together."""
    mixed_precision: bool
    """True for float16 arithmetic on float32 weights."""
    xla: bool
    """True if the training step was compiled with XLA."""


class QatRecord(BaseModel):
    """The quantization-aware training of a run; epoch 0 is the calibrated start, before any training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: QatSettings
    """Options of `edgecnn qat`."""
    best_epoch: int
    """Epoch whose weights were kept."""
    val_accuracy: float
    """Validation accuracy of these weights."""
    start_val_accuracy: float
    """Validation accuracy of the calibrated start."""


class RunRecord(BaseModel):
    """The content of `run.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[2] = RUN_VERSION
    """Version of this format; any other is refused."""
    name: str
    """Name of the run folder."""
    created: datetime
    """Time at which the training ended."""
    status: Literal["complete", "interrupted"]
    """`interrupted` after Ctrl-C; the weights are those of the best epoch until then."""
    backbone: str
    """Name of the network."""
    settings: TrainSettings
    """Options of `edgecnn train`."""
    preprocess: PreprocessSpec
    """Preprocessing of the network's input."""
    labels: tuple[str, ...]
    """Class names by output index."""
    data: Path
    """Absolute path of the folder that the run was trained on."""
    dataset: DatasetRecord
    """Fingerprint and number of photos."""
    class_counts: dict[str, dict[str, int]]
    """Number of photos by split and class."""
    unreadable: tuple[str, ...] = ()
    """Files that were skipped."""
    history: tuple[EpochRecord, ...] = ()
    """Every epoch, in order."""
    metrics: dict[str, float] = {}
    """Validation and test metrics of the trained network, named `<split>_<metric>`."""
    execution: ExecutionRecord
    """Hardware and options of the training."""
    qat: QatRecord | None = None
    """Quantization-aware training, after `edgecnn qat`."""
    versions: dict[str, str] = {}
    """Version of each package that influences the result."""


class RunFolder:
    """Names the files of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / RUN_FILE
        self.float_weights = path / "float.h5"
        self.qat_weights = path / "qat.h5"
        self.learning_curves = path / "learning_curves.svg"
        self.confusion_matrix = path / "confusion_matrix.svg"
        self.unfinished = path / ".unfinished"
        """State that `--resume` continues from; removed when the run is complete."""
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
    """Open a run folder.

    Args:
        path: The folder.

    Returns:
        The names of its files and the content of `run.json`.

    Raises:
        InputError: If it is not a run folder, has another version or `run.json` is invalid.
    """
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
        raise InputError(f"{folder.record_file} is invalid: {first_problem(error)}; train again") from None


def write_run(folder: RunFolder, record: RunRecord) -> None:
    """Write `run.json` atomically.

    Args:
        folder: The run folder.
        record: The content.

    Raises:
        WriteError: If the file cannot be written.
    """
    write_text(folder.record_file, record.model_dump_json(indent=1) + "\n")


def run_of(model: Path) -> RunFolder | None:
    """Find the run folder that a model was exported into.

    Args:
        model: File of the model.

    Returns:
        The run folder, or None if the file is not in the export folder of a run.
    """
    folder = RunFolder(model.resolve().parent.parent)
    return folder if model.resolve().parent == folder.export and folder.record_file.exists() else None
