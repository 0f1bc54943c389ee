"""The stages of a recipe: what each depends on, what it leaves, and how it is done."""

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
from edgecnn.core.settings.recipe import Recipe
from edgecnn.data.dataset_note import NOTE_FILE


class Stage(NamedTuple):
    """A step of a recipe. It is up to date when `inputs()` says what it said last time and `outputs` are there."""

    name: str
    inputs: Callable[[], str]
    """A hash of everything that the stage depends on: settings and the content of files."""
    outputs: tuple[Path, ...]
    do: Callable[[], None]


def stages_of(recipe: Recipe, progress: Progress, log: Log = lambda line: None) -> Iterator[Stage]:
    """The recipe's stages in order. Paths are relative to the working folder. `tell` gets what training says."""
    folder = RunFolder(recipe.run)
    data = _data_folder(recipe)
    if recipe.data.prepare:
        yield _prepare_stage(data)
    if recipe.data.source:
        yield _import_stage(recipe.data.source, data, progress)
    yield _train_stage(recipe, data, folder, progress, log)
    if recipe.qat:
        yield _qat_stage(recipe, folder, progress, log)
    if recipe.export:
        yield _export_stage(recipe, folder, progress)
    if recipe.evaluate:
        yield _evaluate_stage(recipe, folder, progress)
    if recipe.benchmark:
        yield _benchmark_stage(recipe, folder, progress)
    if recipe.live:
        yield _live_stage(recipe, folder)
    yield _report_stage(folder)


def int8_and_float32(recipe: Recipe, folder: RunFolder) -> tuple[Path, Path]:
    """The two files that a recipe compares."""
    name = folder.path.resolve().name
    suffix = "-ptq" if recipe.export and recipe.export.ptq else ""
    return folder.model_file(name + suffix, "int8"), folder.model_file(name, "float32")


def hash_of(parts: Iterable[str | Path]) -> str:
    """Hex digest of strings and of files' contents; a file that is not there counts as such."""
    digests = [(sha256_of(part) if part.exists() else "") if isinstance(part, Path) else part for part in parts]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _data_folder(recipe: Recipe) -> Path:
    data = recipe.data.path
    if data is None:
        raise InputError(f"recipe {recipe.name!r} names no photos: give them with --data FOLDER")
    if not data.exists() and not (recipe.data.prepare or recipe.data.source):
        raise InputError(
            f"recipe {recipe.name!r} has no photos in {data} yet: give --data with a folder, or with a file to import"
        )
    return data


def _prepare_stage(data: Path) -> Stage:
    def do() -> None:
        from edgecnn.pipeline.digits import write_digits

        write_digits(data)
        # Written last: a folder that was left half-written has none, and is written again.
        write_text(data / ".complete", "digits\n")

    return Stage("prepare", lambda: hash_of(["digits", str(data)]), (data / ".complete",), do)


def _import_stage(source: str, data: Path, progress: Progress) -> Stage:
    def do() -> None:
        from edgecnn.data.importing import import_dataset, open_source

        import_dataset(open_source(source), data, replace=True, progress=progress)

    place = str(data.resolve())
    return Stage("import", lambda: hash_of([source, Path(source), place]), (data / NOTE_FILE,), do)


def _train_stage(recipe: Recipe, data: Path, folder: RunFolder, progress: Progress, log: Log) -> Stage:
    def inputs() -> str:
        # A run's name is in the names of its files: one that has moved is another run.
        places = [folder.path.resolve().name, str(data.resolve())]
        return hash_of([recipe.train.model_dump_json(), *places, scan_dataset(data).fingerprint])

    def do() -> None:
        from edgecnn.training.train import train

        train(data, folder.path, recipe.train, force=True, resume=True, progress=progress, log=log)

    return Stage("train", inputs, (folder.record_file, folder.float_weights), do)


def _qat_stage(recipe: Recipe, folder: RunFolder, progress: Progress, log: Log) -> Stage:
    settings = recipe.qat
    assert settings is not None

    def do() -> None:
        from edgecnn.training.qat import train_quantization_aware

        train_quantization_aware(folder.path, settings, force=True, resume=True, progress=progress, log=log)

    return Stage("qat", lambda: hash_of([settings.model_dump_json(), folder.float_weights]), (folder.qat_weights,), do)


def _export_stage(recipe: Recipe, folder: RunFolder, progress: Progress) -> Stage:
    settings = recipe.export
    assert settings is not None

    def do() -> None:
        from edgecnn.training.export import export_run

        export_run(folder.path, settings, progress=progress)

    weights = [folder.float_weights, folder.qat_weights]
    int8, float32 = int8_and_float32(recipe, folder)
    name = folder.path.resolve().name
    named = {precision: folder.model_file(name, precision) for precision in settings.precisions}
    files = named | {"float32": float32} | ({"int8": int8} if "int8" in named else {})
    return Stage("export", lambda: hash_of([settings.model_dump_json(), *weights]), tuple(files.values()), do)


def _evaluate_stage(recipe: Recipe, folder: RunFolder, progress: Progress) -> Stage:
    settings = recipe.evaluate
    assert settings is not None
    int8, float32 = int8_and_float32(recipe, folder)

    def do() -> None:
        from edgecnn.bench.accuracy import evaluate
        from edgecnn.bench.gate import enforce
        from edgecnn.bench.photos import photos_to_measure
        from edgecnn.bench.results import save_evaluation
        from edgecnn.runtime.inference.classifier import Classifier, load_model

        photos = photos_to_measure(int8, None, None, progress=progress)
        evaluation = evaluate(
            Classifier(load_model(int8), threads=settings.threads),
            photos.examples,
            photos.labels,
            baseline=Classifier(load_model(float32), threads=settings.threads),
            max_drop=settings.max_drop,
            progress=lambda done, total: progress("evaluating", done, total),
        )
        save_evaluation(evaluation)
        if evaluation.gate:
            enforce(evaluation.gate)

    results = tuple(folder.results / f"{file.stem}.evaluation.json" for file in (int8, float32))
    return Stage("evaluate", lambda: hash_of([settings.model_dump_json(), int8, float32]), results, do)


def _benchmark_stage(recipe: Recipe, folder: RunFolder, progress: Progress) -> Stage:
    settings = recipe.benchmark
    assert settings is not None
    int8, float32 = int8_and_float32(recipe, folder)

    def do() -> None:
        from edgecnn.bench.benchmark_record import benchmark_record
        from edgecnn.bench.measure import measure
        from edgecnn.bench.results import save_benchmark
        from edgecnn.runtime.inference.classifier import load_model

        report = measure(load_model(int8), load_model(float32), settings, progress=progress)
        save_benchmark(int8, benchmark_record(report))

    result = folder.results / f"{int8.stem}.benchmark.json"
    return Stage("benchmark", lambda: hash_of([settings.model_dump_json(), int8, float32]), (result,), do)


def _live_stage(recipe: Recipe, folder: RunFolder) -> Stage:
    settings = recipe.live
    assert settings is not None
    int8, _ = int8_and_float32(recipe, folder)
    video, results = folder.results / "test.avi", folder.results / "live.jsonl"

    def do() -> None:
        from edgecnn.bench.photos import photos_to_measure
        from edgecnn.pipeline.video import write_video
        from edgecnn.runtime.inference.classifier import Classifier, load_model
        from edgecnn.runtime.live.loop import run_loop
        from edgecnn.runtime.sinks import result_record
        from edgecnn.runtime.sources import open_source

        examples = photos_to_measure(int8, None, None).examples
        write_video(video, examples[:: max(1, len(examples) // settings.frames)][: settings.frames])
        lines: list[str] = []
        with open_source(str(video)) as source:
            run_loop(
                Classifier(load_model(int8)), [source], [lambda result: lines.append(json.dumps(result_record(result)))]
            )
        write_text(results, "".join(f"{line}\n" for line in lines))

    return Stage("live", lambda: hash_of([settings.model_dump_json(), int8]), (video, results), do)


def _report_stage(folder: RunFolder) -> Stage:
    def inputs() -> str:
        return hash_of([folder.record_file, *sorted(folder.results.glob("*.json"))])

    def do() -> None:
        from edgecnn.report.report import write_report

        write_report(folder.path)

    return Stage("report", inputs, (folder.report,), do)
