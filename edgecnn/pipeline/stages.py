"""The stages of a recipe: inputs, outputs and work of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgecnn.core.atomic import write_text
from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import InputError
from edgecnn.core.model_file.model_file import sha256_of
from edgecnn.core.progress import Log, Progress
from edgecnn.core.run.run_folder import RunFolder
from edgecnn.core.settings.command_settings import (
    BenchmarkSettings,
    EvaluateSettings,
    ExportSettings,
    QatSettings,
    RunSettings,
)
from edgecnn.core.settings.recipe import Recipe
from edgecnn.data.dataset_note import NOTE_FILE


class Stage(NamedTuple):
    """A step of a recipe.

    A stage is up to date if `inputs()` returns the same hash as when it last ran, and all `outputs` exist.
    """

    name: str
    inputs: Callable[[], str]
    """Returns a hash of everything that the stage depends on: settings and contents of files."""
    outputs: tuple[Path, ...]
    run: Callable[[], None]


class ComparedModels(NamedTuple):
    """The two model files that a recipe compares."""

    int8: Path
    float32: Path


def stages_of(recipe: Recipe, progress: Progress, log: Log = lambda line: None) -> Iterator[Stage]:
    """Yield the stages of a recipe in order.

    Args:
        recipe: Recipe, whose paths are relative to the working directory.
        progress: Called as the stages make progress.
        log: Called with the messages of training.

    Yields:
        The stages. Those whose table the recipe lacks are left out; training and the report are always included.

    Raises:
        InputError: If the recipe has no photos.
    """
    folder = RunFolder(recipe.run)
    data = _data_folder(recipe)
    models = _compared_models(recipe, folder)
    if recipe.data.prepare:
        yield _prepare_stage(data)
    if recipe.data.source:
        yield _import_stage(recipe.data.source, data, progress)
    yield _train_stage(recipe, data, folder, progress, log)
    if recipe.qat:
        yield _qat_stage(recipe.qat, folder, progress, log)
    if recipe.export:
        yield _export_stage(recipe.export, folder, progress)
    if recipe.evaluate:
        yield _evaluate_stage(recipe.evaluate, models, folder, progress)
    if recipe.benchmark:
        yield _benchmark_stage(recipe.benchmark, models, folder, progress)
    if recipe.live:
        yield _live_stage(recipe.live, models.int8, folder)
    yield _report_stage(folder)


def hash_of(parts: Iterable[str | Path]) -> str:
    """Hash strings and contents of files.

    Args:
        parts: Strings, and paths of files whose contents are hashed. A missing file differs from any file, even from
            an empty one.

    Returns:
        Hexadecimal SHA-256 digest.
    """
    digests = [(sha256_of(part) if part.exists() else "") if isinstance(part, Path) else part for part in parts]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _data_folder(recipe: Recipe) -> Path:
    data = recipe.data.path
    if data is None:
        raise InputError(f"recipe {recipe.name!r} names no photos: set them with --data FOLDER")
    if not data.exists() and not (recipe.data.prepare or recipe.data.source):
        raise InputError(
            f"recipe {recipe.name!r} has no photos in {data} yet: set --data to a folder, or to a file to import"
        )
    return data


def _compared_models(recipe: Recipe, folder: RunFolder) -> ComparedModels:
    ptq = recipe.export is not None and recipe.export.ptq
    return ComparedModels(int8=_model_file(folder, "int8", ptq=ptq), float32=_model_file(folder, "float32"))


def _model_file(folder: RunFolder, precision: str, *, ptq: bool = False) -> Path:
    return folder.model_file(folder.path.resolve().name, precision, ptq=ptq)


def _prepare_stage(data: Path) -> Stage:
    marker = data / ".complete"

    def run() -> None:
        from edgecnn.pipeline.digits import write_digits

        write_digits(data)
        # The marker is written last, so that an incomplete folder has none and is written again.
        write_text(marker, "digits\n")

    return Stage("prepare", lambda: hash_of(["digits", str(data)]), (marker,), run)


def _import_stage(source: str, data: Path, progress: Progress) -> Stage:
    def inputs() -> str:
        return hash_of([source, Path(source), str(data.resolve())])

    def run() -> None:
        from edgecnn.data.importing import import_dataset, open_source

        import_dataset(open_source(source), data, replace=True, progress=progress)

    return Stage("import", inputs, (data / NOTE_FILE,), run)


def _train_stage(recipe: Recipe, data: Path, folder: RunFolder, progress: Progress, log: Log) -> Stage:
    def inputs() -> str:
        # The name of a run is part of its file names, so a run that was moved is a different run.
        names = [folder.path.resolve().name, str(data.resolve())]
        return hash_of([recipe.train.model_dump_json(), *names, scan_dataset(data).fingerprint])

    def run() -> None:
        from edgecnn.training.train import train

        train(data, folder.path, recipe.train, force=True, resume=True, progress=progress, log=log)

    return Stage("train", inputs, (folder.record_file, folder.float_weights), run)


def _qat_stage(settings: QatSettings, folder: RunFolder, progress: Progress, log: Log) -> Stage:
    def inputs() -> str:
        return hash_of([settings.model_dump_json(), folder.float_weights])

    def run() -> None:
        from edgecnn.training.qat import train_quantization_aware

        train_quantization_aware(folder.path, settings, force=True, resume=True, progress=progress, log=log)

    return Stage("qat", inputs, (folder.qat_weights,), run)


def _export_stage(settings: ExportSettings, folder: RunFolder, progress: Progress) -> Stage:
    def inputs() -> str:
        return hash_of([settings.model_dump_json(), folder.float_weights, folder.qat_weights])

    def run() -> None:
        from edgecnn.training.export import export_run

        export_run(folder.path, settings, progress=progress)

    precisions = dict.fromkeys(("float32", *settings.precisions))
    files = tuple(_model_file(folder, precision, ptq=settings.ptq) for precision in precisions)
    return Stage("export", inputs, files, run)


def _evaluate_stage(settings: EvaluateSettings, models: ComparedModels, folder: RunFolder, progress: Progress) -> Stage:
    def inputs() -> str:
        return hash_of([settings.model_dump_json(), *models])

    def run() -> None:
        from edgecnn.bench.evaluation import evaluate_models
        from edgecnn.bench.gate import enforce
        from edgecnn.bench.results import save_evaluation
        from edgecnn.runtime.inference.classifier import load_model

        evaluation, _ = evaluate_models(
            load_model(models.int8),
            load_model(models.float32),
            threads=settings.threads,
            max_drop=settings.max_drop,
            progress=progress,
        )
        save_evaluation(evaluation)
        if evaluation.gate:
            enforce(evaluation.gate)

    results = tuple(folder.results / f"{file.stem}.evaluation.json" for file in models)
    return Stage("evaluate", inputs, results, run)


def _benchmark_stage(
    settings: BenchmarkSettings, models: ComparedModels, folder: RunFolder, progress: Progress
) -> Stage:
    def inputs() -> str:
        return hash_of([settings.model_dump_json(), *models])

    def run() -> None:
        from edgecnn.bench.benchmark_record import benchmark_record
        from edgecnn.bench.measure import measure
        from edgecnn.bench.results import save_benchmark
        from edgecnn.runtime.inference.classifier import load_model

        report = measure(load_model(models.int8), load_model(models.float32), settings, progress=progress)
        save_benchmark(models.int8, benchmark_record(report))

    return Stage("benchmark", inputs, (folder.results / f"{models.int8.stem}.benchmark.json",), run)


def _live_stage(settings: RunSettings, model: Path, folder: RunFolder) -> Stage:
    video, results = folder.results / "test.avi", folder.results / "live.jsonl"

    def inputs() -> str:
        return hash_of([settings.model_dump_json(), model])

    def run() -> None:
        from edgecnn.bench.photos import photos_to_measure
        from edgecnn.pipeline.video import write_video
        from edgecnn.runtime.inference.classifier import Classifier, load_model
        from edgecnn.runtime.live.loop import run_loop
        from edgecnn.runtime.sinks import Result, result_record
        from edgecnn.runtime.sources import open_source

        examples = photos_to_measure(model, None, None).examples
        write_video(video, examples[:: max(1, len(examples) // settings.frames)][: settings.frames])
        lines: list[str] = []

        def collect(result: Result, /) -> None:
            lines.append(json.dumps(result_record(result)))

        with open_source(str(video)) as source:
            run_loop(Classifier(load_model(model)), [source], [collect])
        write_text(results, "".join(f"{line}\n" for line in lines))

    return Stage("live", inputs, (video, results), run)


def _report_stage(folder: RunFolder) -> Stage:
    def inputs() -> str:
        return hash_of([folder.record_file, *sorted(folder.results.glob("*.json"))])

    def run() -> None:
        from edgecnn.report.report import write_report

        write_report(folder.path)

    return Stage("report", inputs, (folder.report,), run)
