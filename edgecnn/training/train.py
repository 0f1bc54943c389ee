"""`edgecnn train`: from a folder of photos to a run folder."""

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
    building,
    execution_of,
    reporting_lost_workers,
)
from edgecnn.training.fitting.journal import Journal, is_unfinished, task_of
from edgecnn.training.fitting.loop import make_repeatable
from edgecnn.training.fitting.monitor import parse_monitor
from edgecnn.training.fitting.phases import Training, fine_tune, fit_from_scratch, fit_head
from edgecnn.training.keras import keras
from edgecnn.training.networks.build import build_backbone
from edgecnn.training.networks.catalog import backbone_spec
from edgecnn.training.networks.classifier_model import (
    attach_head,
    freeze,
    head_dropout,
    is_pretrained,
    layers_to_unfreeze,
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
    """Trains a classifier on the folder `data` and leaves the run folder `run`.

    After every epoch enough is written to go on from there: with `resume`, which ends at the weights that the training
    would have ended at without a break, on a CPU to the bit. Ctrl-C after the first epoch leaves a usable run too, with
    the best epoch so far, and raises `Interrupted`. An existing run is replaced only with `force`; with both, what can
    be gone on from is, and else everything starts anew. `tell` gets what is worth knowing before it takes long.

    Raises `DataError`, `InputError`, `WriteError` and, where one of several `workers` is lost, `WorkerLost`.
    """
    folder = RunFolder(run)
    _check_place(folder, force=force, resume=resume)
    spec = preprocess_spec(settings)
    for line in advice_on(settings):
        log(line)
    execution = execution_of(settings, workers)
    with reporting_lost_workers(execution):
        dataset = _scan(data, settings, strict, progress, log)
        monitor = parse_monitor(settings.monitor, dataset.labels)
        if resume and not force and folder.record_file.exists() and not is_unfinished(folder.unfinished):
            return _complete(folder, settings, dataset, log)
        found = _folder_and_logs(folder)
        model, backbone = _build(settings, len(dataset.labels), execution)
        journal = _journal(folder, settings, dataset, execution, force=force, resume=resume, log=log)
        training = Training(
            folder, dataset, spec, settings, head_dropout(settings), monitor, execution, journal, progress
        )
        outdated_logs: frozenset[Path] = frozenset() if journal.epochs else found
        status = _fit(model, backbone, training, found)
        shipped = _as_it_ships(model, training, log)
        measured = measure(shipped, None if _is_trained(settings) else backbone, training)
        record = write_trained(shipped, measured, training, status, outdated_logs)
        all_reduce_min(execution, 0)  # Nobody leaves before the others are done: that would look like a loss.
    if not execution.is_chief:
        with suppress(OSError):  # It had its journal here; on a shared disk the run is here too, and stays.
            folder.path.rmdir()
    if status == "interrupted":
        raise Interrupted(
            f"interrupted after {journal.epochs} epochs; {run} holds the best of them and can be exported, "
            "or gone on with by --resume"
        )
    return record


# ---- before


def _check_place(folder: RunFolder, *, force: bool, resume: bool) -> None:
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path} is a file; expected a folder, or a name for a new one")
    if force or resume:
        return
    if is_unfinished(folder.unfinished):
        raise InputError(
            f"{folder.path} holds an unfinished training; go on with --resume, or add --force to start anew"
        )
    if folder.record_file.exists():
        raise InputError(f"{folder.path} already holds a run; choose another --out, or add --force to replace it")


def _scan(data: Path, settings: TrainSettings, strict: bool, progress: Progress, log: Log) -> Dataset:
    dataset = scan_dataset(data, strict=strict, progress=lambda done, total: progress("reading photos", done, total))
    require_trainable(dataset)
    for kind, findings in by_kind(check_scanned(dataset)).items():
        if kind != "unreadable":  # Those are listed with the result, since they are not in it.
            more = f" (and {len(findings) - 1} more such, see edgecnn data check)" if len(findings) > 1 else ""
            log(f"{findings[0].severity} in the photos: {findings[0].message}{more}; {findings[0].advice}")
    return with_all_splits(
        dataset,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )


def _complete(folder: RunFolder, settings: TrainSettings, dataset: Dataset, log: Log) -> RunRecord:
    """What `--resume` gives for a run that is complete already."""
    _, record = read_run(folder.path)
    if (record.settings, record.dataset.fingerprint) != (settings, dataset.fingerprint):
        raise InputError(
            f"{folder.path} holds a complete run with other settings or photos; choose another --out, or add --force"
        )
    log(f"{folder.path} is complete already")
    return record


def _build(settings: TrainSettings, classes: int, execution: Execution) -> tuple[keras.Model, keras.Model]:
    """The network and its backbone; frozen but for the head where the backbone is pretrained."""
    spec = preprocess_spec(settings)
    backbone = backbone_spec(settings.model, settings.alpha)
    weights = starting_weights(settings.weights, backbone)
    if weights is None and settings.fine_tune_epochs:
        raise InputError(
            f"fine-tuning needs pretrained weights, and {settings.model} is to start without; leave --fine-tune-epochs "
            "out, since --epochs trains every layer"
        )
    make_repeatable(settings.seed, xla=execution.record.xla)
    # Features are computed with one copy, in float32.
    body = single = build_backbone(backbone, height=spec.height, width=spec.width, weights=weights)
    with building(execution):
        if not execution.is_plain:
            body = build_backbone(backbone, height=spec.height, width=spec.width, weights=None)
            body.set_weights(single.get_weights())
        # However often the body was built, the head starts the same.
        make_repeatable(settings.seed, xla=execution.record.xla)
        model = attach_head(body, classes, head_dropout(settings))
        if settings.fine_tune_epochs:
            layers_to_unfreeze(model, settings.unfreeze, settings.model)
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
    """The journal of this training, taken up where it stopped or begun; all workers from the same epoch."""
    journal = Journal(_journal_folder(folder, execution), task_of(settings, photos=dataset.fingerprint))
    if resume:
        try:
            if is_unfinished(_journal_folder(folder, execution)):
                journal.take_up()
        except InputError:
            if not force:
                raise
    agreed = all_reduce_min(execution, journal.epochs)
    if agreed == 0:
        if resume and not force:
            log(f"nothing to go on from in {folder.path}: starting at the beginning")
        journal.begin()
    elif agreed != journal.epochs:
        journal.take_up(agreed)
    return journal


# ---- the phases


def _fit(model: keras.Model, backbone: keras.Model, training: Training, found: frozenset[Path]) -> Status:
    try:
        if not is_pretrained(training.settings):
            fit_from_scratch(model, training)
        else:
            fit_head(model, backbone, training)
            if training.settings.fine_tune_epochs:
                fine_tune(model, training)
    except (KeyboardInterrupt, EdgecnnError) as error:
        if not training.journal.epochs:
            training.journal.remove()
            _take_back(training.folder, found)
        if isinstance(error, EdgecnnError) or not training.journal.epochs:
            raise
        return "interrupted"
    return "complete"


def _folder_and_logs(folder: RunFolder) -> frozenset[Path]:
    return frozenset(
        path for path in (folder.path, folder.tensorboard, *folder.tensorboard.rglob("*")) if path.exists()
    )


def _is_trained(settings: TrainSettings) -> bool:
    """Whether the backbone itself is trained, and not the head alone."""
    return not is_pretrained(settings) or settings.fine_tune_epochs > 0


def _take_back(folder: RunFolder, found: frozenset[Path]) -> None:
    """Removes what training has put into the run folder so far."""
    for path in sorted(_folder_and_logs(folder) - found, reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()


# ---- after


def _as_it_ships(model: keras.Model, training: Training, log: Log) -> keras.Model:
    """The trained network in one copy and in float32, to be measured and stored."""
    execution = training.execution
    if execution.is_plain:
        return model
    # Reading replicated statistics needs every worker, so all of them do it here, and once.
    weights = model.get_weights()
    if execution.record.workers > 1:
        digest = hash_of(array.tobytes() for array in weights)
        log(f"worker {execution.rank} of {execution.record.workers} has trained weights {digest[:16]}")
    spec, settings = training.spec, training.settings
    backbone = backbone_spec(settings.model, settings.alpha)
    body = build_backbone(backbone, height=spec.height, width=spec.width, weights=None)
    single = attach_head(body, len(training.dataset.labels), training.dropout)
    single.set_weights(weights)
    return single
