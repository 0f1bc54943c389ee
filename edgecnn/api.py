"""The commands as Python functions; `edgecnn` exports them.

Each function does what the command of its name does, with the same settings and the same errors, and returns the record
that the command prints as JSON. Nothing is printed: pass `log` and `progress` to follow long work.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn.core.progress import Log, Progress, silent

if TYPE_CHECKING:
    from edgecnn.core.records.benchmark import BenchmarkRecord
    from edgecnn.core.records.evaluation import EvaluationRecord
    from edgecnn.core.run.run_folder import RunRecord
    from edgecnn.core.settings.command_settings import BenchmarkSettings, ExportSettings, QatSettings, TrainSettings
    from edgecnn.data.check import DataCheck

# Imports are inside the functions, so that `import edgecnn` needs neither OpenCV nor TensorFlow.
# ruff: noqa: PLC0415


def _ignore(line: str) -> None:
    """Discard a log line."""


def train(
    data: Path | str,
    run: Path | str,
    settings: TrainSettings | None = None,
    *,
    strict: bool = False,
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
    log: Log = _ignore,
) -> RunRecord:
    """Train a classifier and write a run folder, as `edgecnn train` does.

    Args:
        data: Folder of class folders with photos, or one with `train/`, `validation/` and `test/` of them.
        run: Run folder to write.
        settings: Network, phases and hyperparameters; the defaults if not given.
        strict: Refuse unreadable photos instead of skipping them.
        force: Overwrite the run in the folder.
        resume: Continue an interrupted run after its last finished epoch.
        progress: Called with `(task, done, total, detail)` as the work proceeds.
        log: Called with each message.

    Returns:
        The record of the run, as `run.json` contains it.

    Raises:
        MissingDependency: The `train` extra is not installed.
        InputError: The photos or the settings are unusable, or the folder contains a run already.
        WriteError: The run cannot be written.
        Interrupted: Ctrl-C was pressed.
    """
    _require_training()
    from edgecnn.core.settings.command_settings import TrainSettings
    from edgecnn.training.train import train as train_run

    settings = settings or TrainSettings()
    return train_run(
        Path(data), Path(run), settings, strict=strict, force=force, resume=resume, progress=progress, log=log
    )


def qat(
    run: Path | str,
    settings: QatSettings | None = None,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
    log: Log = _ignore,
) -> RunRecord:
    """Add quantization-aware weights to a run, as `edgecnn qat` does.

    Args:
        run: Run folder of `train`.
        settings: Epochs, learning rate and calibration; the defaults if not given.
        force: Overwrite the quantization-aware weights of the run.
        resume: Continue after the last finished epoch.
        progress: Called with `(task, done, total, detail)` as the work proceeds.
        log: Called with each message.

    Returns:
        The record of the run; its `qat` describes the quantization-aware training.

    Raises:
        MissingDependency: The `train` extra is not installed.
        InputError: The folder is not a run folder, or it has such weights already.
        WriteError: The weights cannot be written.
        Interrupted: Ctrl-C was pressed.
    """
    _require_training()
    from edgecnn.core.settings.command_settings import QatSettings
    from edgecnn.training.qat import train_quantization_aware

    settings = settings or QatSettings()
    return train_quantization_aware(Path(run), settings, force=force, resume=resume, progress=progress, log=log)


def export(run: Path | str, settings: ExportSettings | None = None, *, progress: Progress = silent) -> tuple[Path, ...]:
    """Write the model files of a run, as `edgecnn export` does.

    Args:
        run: Run folder of `train`.
        settings: Precisions and calibration; float32 and int8 if not given.
        progress: Called with `(task, done, total, detail)` as the work proceeds.

    Returns:
        Paths of the files: float32 first, then the others in the order of `settings.precisions`.

    Raises:
        MissingDependency: The `train` extra is not installed.
        InputError: The folder is not a run folder, or its photos are missing or have changed.
        ExportError: A converted model failed its check; no file was written for it.
    """
    _require_training()
    from edgecnn.core.settings.command_settings import ExportSettings
    from edgecnn.training.export import export_run

    return export_run(Path(run), settings or ExportSettings(), progress=progress)


def evaluate(
    model: Path | str,
    data: Path | str | None = None,
    *,
    baseline: Path | str | None = None,
    split: str | None = None,
    max_drop: float | None = None,
    threads: int = 1,
    labels: Path | str | None = None,
    preprocess: str | None = None,
    strict: bool = False,
    progress: Progress = silent,
) -> EvaluationRecord:
    """Measure the accuracy of a model file on labeled photos, as `edgecnn evaluate` does.

    Args:
        model: Model file.
        data: Folder of class folders with photos; by default the photos of the run that contains the model file.
        baseline: Model file to compare with, usually the float32 one.
        split: Split to measure: `train`, `validation`, `test` or `all`.
        max_drop: Gate, in percentage points of top-1 that the model may lose against the baseline. The verdict is in
            the record; it raises no error.
        threads: Number of interpreter threads.
        labels: Labels file, for a model file without a card.
        preprocess: Preprocessing, for a model file without a card, such as `"center_crop:0.875,mean=127.5,std=127.5"`.
        strict: Refuse unreadable photos instead of skipping them.
        progress: Called with `(task, done, total, detail)` as the work proceeds.

    Returns:
        The record that `edgecnn evaluate --json` prints.

    Raises:
        InputError: A file or the photos are unusable, or a model lacks one of the classes.
    """
    from edgecnn.bench.accuracy import evaluation_record
    from edgecnn.bench.evaluation import evaluate_models
    from edgecnn.runtime.inference.classifier import load_model

    evaluation, _ = evaluate_models(
        load_model(model, labels=labels, preprocess=preprocess),
        load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None,
        data=Path(data) if data else None,
        split=split,
        strict=strict,
        threads=threads,
        max_drop=max_drop,
        progress=progress,
    )
    return evaluation_record(evaluation)


def benchmark(
    model: Path | str,
    baseline: Path | str | None = None,
    settings: BenchmarkSettings | None = None,
    *,
    data: Path | str | None = None,
    limit: int | None = None,
    labels: Path | str | None = None,
    preprocess: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> BenchmarkRecord:
    """Measure the latency and memory of a model file on this machine, as `edgecnn benchmark` does.

    Args:
        model: Model file.
        baseline: Model file to interleave with, usually the float32 one.
        settings: Threads and length of the measurement; a quick one if not given.
        data: Folder of class folders with photos, to measure the accuracy as well.
        limit: Maximum number of these photos, a stratified sample.
        labels: Labels file, for a model file without a card.
        preprocess: Preprocessing, for a model file without a card.
        seed: Seed of the synthetic frames and of the sample.
        progress: Called with `(task, done, total, detail)` as the work proceeds.

    Returns:
        The record that `edgecnn benchmark --json` prints. Times are in milliseconds.

    Raises:
        InputError: A file or the photos are unusable.
        Interrupted: Ctrl-C was pressed.
    """
    from edgecnn.bench.benchmark_record import benchmark_record
    from edgecnn.bench.measure import measure
    from edgecnn.bench.photo_sample import sample_photos
    from edgecnn.core.settings.command_settings import BenchmarkSettings
    from edgecnn.runtime.inference.classifier import load_model

    subject = load_model(model, labels=labels, preprocess=preprocess)
    reference = load_model(baseline, labels=labels, preprocess=preprocess) if baseline else None
    sample = sample_photos(
        [subject, reference] if reference else [subject],
        Path(data) if data else None,
        limit=limit,
        seed=seed,
        progress=progress,
    )
    return benchmark_record(
        measure(subject, reference, settings or BenchmarkSettings(), sample=sample, seed=seed, progress=progress)
    )


def check_data(data: Path | str, *, progress: Progress = silent) -> DataCheck:
    """Find what spoils training in a folder of photos, as `edgecnn data check` does.

    Args:
        data: Folder of class folders with photos, or of splits of them.
        progress: Called with `(task, done, total, detail)` as the work proceeds.

    Returns:
        The scanned data set and its findings, errors first.

    Raises:
        DataError: The folder does not exist or contains no photos.
    """
    from edgecnn.data.check import check_folder

    return check_folder(Path(data), progress=progress)


def load_run(run: Path | str) -> RunRecord:
    """Read the record of a run folder.

    Args:
        run: Run folder of `train`.

    Returns:
        The content of its `run.json`.

    Raises:
        InputError: The folder is not a run folder, or its record is invalid or from a newer version.
    """
    from edgecnn.core.run.run_folder import read_run

    return read_run(Path(run))[1]


def _require_training() -> None:
    """Raise `MissingDependency` now if TensorFlow is not installed, not when something else of the extra is missing."""
    import edgecnn.training.keras  # noqa: F401 # Its import raises.
