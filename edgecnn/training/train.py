"""`edgecnn train`: trains a classifier on a folder of photos and writes a run folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edgecnn.core.dataset import Dataset, require_trainable, scan_dataset, with_all_splits
from edgecnn.core.errors import EdgecnnError, InputError, Interrupted
from edgecnn.core.progress import Log, Progress, silent
from edgecnn.core.run.run_folder import RunFolder, RunRecord, read_run
from edgecnn.core.settings.command_settings import TrainSettings
from edgecnn.data.check import check_scanned
from edgecnn.data.finding import by_kind
from edgecnn.training.advice import advice_on
from edgecnn.training.features.cache import hash_of
from edgecnn.training.fitting.distribution import (
    Execution,
    Workers,
    all_reduce_min,
    barrier,
    building,
    execution_of,
    reporting_lost_workers,
)
from edgecnn.training.fitting.journal import Journal, is_unfinished, task_of
from edgecnn.training.fitting.loop import make_repeatable
from edgecnn.training.fitting.monitor import parse_monitor
from edgecnn.training.fitting.phases import RunContext, fine_tune, fit_from_scratch, fit_head
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import (
    attach_head,
    check_unfreeze,
    freeze,
    head_dropout,
    is_pretrained,
    preprocess_spec,
)
from edgecnn.training.networks.weights import starting_weights
from edgecnn.training.results import measure
from edgecnn.training.trained_run import Status, write_trained


def train(
    data: Path,
    run: Path,
    settings: TrainSettings,
    *,
    strict: bool = False,
    force: bool = False,
    resume: bool = False,
    workers: Workers | None = None,
    progress: Progress = silent,
    log: Log = lambda line: None,
) -> RunRecord:
    """Train a classifier and write a run folder.

    The state is saved after every epoch. A resumed run ends with the weights of an uninterrupted one, on a CPU to the
    bit. If Ctrl-C interrupts the run after its first epoch, the best epoch so far is measured and written as a usable
    run.

    Args:
        data: Folder of photos.
        run: Run folder to write.
        settings: Network, schedule, random changes to photos and seed.
        strict: Refuse a data set with unreadable photos.
        force: Replace an existing run.
        resume: Continue an interrupted run. If `force` is set too and the run cannot be resumed, start over.
        workers: The machines that train together, or None for this one alone.
        progress: Receives the progress of each task.
        log: Receives warnings and advice, one line each, before the first long task.

    Returns:
        The record of the run.

    Raises:
        DataError: The folder is no usable data set, or a photo changed during the training.
        InputError: The settings do not fit together, or the run folder is in use.
        WriteError: The disk is full or not writable.
        WorkerLost: Another worker stopped or cannot be reached.
        Interrupted: Ctrl-C, and the run folder is usable.
        KeyboardInterrupt: Ctrl-C before the end of the first epoch; nothing is left behind.
    """
    folder = RunFolder(run)
    _check_run_folder(folder, force=force, resume=resume)
    spec = preprocess_spec(settings)
    for line in advice_on(settings):
        log(line)
    execution = execution_of(settings, workers)
    with reporting_lost_workers(execution):
        dataset = _scan(data, settings, strict=strict, progress=progress, log=log)
        monitor = parse_monitor(settings.monitor, dataset.labels)
        if resume and not force and folder.record_file.exists() and not is_unfinished(folder.unfinished):
            return _complete(folder, settings, dataset, log)
        existing = _folder_and_logs(folder)
        model, backbone = _build(settings, len(dataset.labels), execution)
        journal = _journal(folder, settings, dataset, execution, force=force, resume=resume, log=log)
        context = RunContext(
            folder=folder,
            dataset=dataset,
            spec=spec,
            settings=settings,
            dropout=head_dropout(settings),
            monitor=monitor,
            execution=execution,
            journal=journal,
            progress=progress,
        )
        outdated_logs: frozenset[Path] = frozenset() if journal.epochs else existing
        status = _fit(model, backbone, context, existing)
        shipped = _as_it_ships(model, context, log)
        measured = measure(shipped, None if _is_trained(settings) else backbone, context)
        record = write_trained(shipped, measured, context, status=status, outdated_logs=outdated_logs)
        # A worker that exits before the others are done looks lost to them.
        barrier(execution)
    if not execution.is_chief:
        # Only the journal was in here, and it is gone; on a shared disk the folder contains the run and stays.
        with suppress(OSError):
            folder.path.rmdir()
    if status == "interrupted":
        raise Interrupted(
            f"interrupted after {journal.epochs} epochs; {run} contains the best of them and can be exported, "
            "or continue with --resume"
        )
    return record


# ---- before the training


def _check_run_folder(folder: RunFolder, *, force: bool, resume: bool) -> None:
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path} is a file, not a folder; choose another --out")
    if force or resume:
        return
    if is_unfinished(folder.unfinished):
        raise InputError(
            f"{folder.path} contains an unfinished training run; continue with --resume, or start over with --force"
        )
    if folder.record_file.exists():
        raise InputError(f"{folder.path} already contains a run; choose another --out, or add --force to replace it")


def _scan(data: Path, settings: TrainSettings, *, strict: bool, progress: Progress, log: Log) -> Dataset:
    dataset = scan_dataset(data, strict=strict, progress=lambda done, total: progress("reading photos", done, total))
    require_trainable(dataset)
    for kind, findings in by_kind(check_scanned(dataset)).items():
        # Unreadable photos are listed with the result, since they are not part of it.
        if kind != "unreadable":
            more = f" (and {len(findings) - 1} more, see edgecnn data check)" if len(findings) > 1 else ""
            log(f"{findings[0].severity} in the photos: {findings[0].message}{more}; {findings[0].advice}")
    return with_all_splits(
        dataset,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )


def _complete(folder: RunFolder, settings: TrainSettings, dataset: Dataset, log: Log) -> RunRecord:
    """Return the record of a run that `--resume` finds complete."""
    _, record = read_run(folder.path)
    if (record.settings, record.dataset.fingerprint) != (settings, dataset.fingerprint):
        raise InputError(
            f"{folder.path} contains a complete run with other settings or photos; choose another --out, or add "
            "--force to replace it"
        )
    log(f"{folder.path} is already complete")
    return record


def _build(settings: TrainSettings, classes: int, execution: Execution) -> tuple[keras.Model, keras.Model]:
    """Build the network and its backbone; if the backbone is pretrained, only the head is trainable."""
    spec = preprocess_spec(settings)
    backbone = backbone_spec(settings.model, settings.alpha)
    weights = starting_weights(settings.weights, backbone)
    if weights is None and settings.fine_tune_epochs:
        raise InputError(
            f"fine-tuning needs pretrained weights, but {settings.model} starts without any; remove "
            "--fine-tune-epochs, since --epochs trains every layer"
        )
    make_repeatable(settings.seed, xla=execution.record.xla)
    # Features are computed with one copy, in float32.
    body = single = build_backbone(backbone, height=spec.height, width=spec.width, weights=weights)
    with building(execution):
        if not execution.is_plain:
            body = build_backbone(backbone, height=spec.height, width=spec.width, weights=None)
            body.set_weights(single.get_weights())
        # The initial weights of the head must not depend on how often the body was built.
        make_repeatable(settings.seed, xla=execution.record.xla)
        model = attach_head(body, classes, head_dropout(settings))
        if settings.fine_tune_epochs:
            check_unfreeze(model, settings.unfreeze, settings.model)  # Now, rather than after the head is trained.
        if weights is not None:
            freeze(model)
    return model, single


def _journal_folder(folder: RunFolder, execution: Execution) -> Path:
    return folder.unfinished if execution.is_chief else folder.path / f".unfinished-{execution.rank}"


def _journal(
    folder: RunFolder,
    settings: TrainSettings,
    dataset: Dataset,
    execution: Execution,
    *,
    force: bool,
    resume: bool,
    log: Log,
) -> Journal:
    """Return the journal of this run, resumed or new; all workers resume from the same epoch."""
    journal = Journal(_journal_folder(folder, execution), task_of(settings, photos=dataset.fingerprint))
    if resume:
        try:
            if is_unfinished(_journal_folder(folder, execution)):
                journal.resume()
        except InputError:
            if not force:
                raise
    common_epochs = all_reduce_min(execution, journal.epochs)
    if common_epochs == 0:
        if resume and not force:
            log(f"nothing to resume in {folder.path}: starting from the beginning")
        journal.begin()
    elif common_epochs != journal.epochs:
        journal.resume(common_epochs)
    return journal


# ---- the phases


def _fit(model: keras.Model, backbone: keras.Model, context: RunContext, existing: frozenset[Path]) -> Status:
    """Train all phases; remove everything but `existing` if not even one epoch was finished."""
    try:
        if not is_pretrained(context.settings):
            fit_from_scratch(model, context)
        else:
            fit_head(model, backbone, context)
            if context.settings.fine_tune_epochs:
                fine_tune(model, context)
    except (KeyboardInterrupt, EdgecnnError) as error:
        if not context.journal.epochs:
            context.journal.remove()
            _remove_new(context.folder, existing)
        if isinstance(error, EdgecnnError) or not context.journal.epochs:
            raise
        return "interrupted"
    return "complete"


def _folder_and_logs(folder: RunFolder) -> frozenset[Path]:
    return frozenset(
        path for path in (folder.path, folder.tensorboard, *folder.tensorboard.rglob("*")) if path.exists()
    )


def _is_trained(settings: TrainSettings) -> bool:
    """Return True if the backbone itself is trained, not only the head."""
    return not is_pretrained(settings) or settings.fine_tune_epochs > 0


def _remove_new(folder: RunFolder, existing: frozenset[Path]) -> None:
    """Remove the folder and the logs that this run has created."""
    for path in sorted(_folder_and_logs(folder) - existing, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


# ---- after the training


def _as_it_ships(model: keras.Model, context: RunContext, log: Log) -> keras.Model:
    """Return the trained network as one copy in float32, to be measured and stored."""
    execution = context.execution
    if execution.is_plain:
        return model
    # Reading replicated statistics is a collective operation, so every worker does it here, exactly once.
    weights = model.get_weights()
    if execution.record.workers > 1:
        digest = hash_of(array.tobytes() for array in weights)
        log(f"worker {execution.rank} of {execution.record.workers} has trained weights {digest[:16]}")
    spec, settings = context.spec, context.settings
    backbone = backbone_spec(settings.model, settings.alpha)
    body = build_backbone(backbone, height=spec.height, width=spec.width, weights=None)
    single = attach_head(body, len(context.dataset.labels), context.dropout)
    single.set_weights(weights)
    return single
