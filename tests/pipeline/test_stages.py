from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgecnn.core.progress import silent
from edgecnn.core.settings.command_settings import (
    BenchmarkSettings,
    EvaluateSettings,
    ExportSettings,
    QatSettings,
    RunSettings,
    TrainSettings,
)
from edgecnn.core.settings.recipe import Recipe
from edgecnn.pipeline.stages import Stage, hash_of, stages_of
from tests.colors import write_color, write_color_photos


def recipe(folder: Path, **changes: object) -> Recipe:
    return Recipe.model_validate({"name": "r", "run": folder / "run", "data": {"path": folder / "photos"}} | changes)


def train_stage(of: Recipe) -> Stage:
    return next(stage for stage in stages_of(of, silent) if stage.name == "train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_color_photos(tmp_path / "photos", 2)
    return tmp_path


def test_a_recipe_has_a_stage_for_each_of_its_tables(folder: Path) -> None:
    assert [stage.name for stage in stages_of(recipe(folder), silent)] == ["train", "report"]
    every = recipe(
        folder,
        data={"path": folder / "photos", "prepare": "digits"},
        qat=QatSettings(),
        export=ExportSettings(),
        evaluate=EvaluateSettings(),
        benchmark=BenchmarkSettings(),
        live=RunSettings(),
    )
    names = ["prepare", "train", "qat", "export", "evaluate", "benchmark", "live", "report"]
    assert [stage.name for stage in stages_of(every, silent)] == names


def test_messages_of_training_are_logged(tmp_path: Path) -> None:
    write_color_photos(tmp_path / "photos", 8)
    hasty = recipe(tmp_path, train=TrainSettings(model="mnist_cnn", epochs=1, learning_rate=0.1))
    logged: list[str] = []
    next(stages_of(hasty, silent, logged.append)).run()
    assert any(line.startswith("a learning rate of 0.1 seldom converges") for line in logged)
    # A recipe starts over automatically, so a missing checkpoint is not worth a message.
    assert not any("nothing to resume" in line for line in logged)


def test_training_depends_on_its_settings_and_on_the_photos(folder: Path) -> None:
    before = train_stage(recipe(folder)).inputs()
    assert train_stage(recipe(folder)).inputs() == before
    assert train_stage(recipe(folder, export=ExportSettings())).inputs() == before
    assert train_stage(recipe(folder, train=TrainSettings(epochs=7))).inputs() != before
    write_color(folder / "photos" / "red" / "new.png", 0, 99)
    assert train_stage(recipe(folder)).inputs() != before


def test_a_renamed_photo_is_the_same_photo(folder: Path) -> None:
    before = train_stage(recipe(folder)).inputs()
    (folder / "photos" / "red" / "000.png").rename(folder / "photos" / "red" / "999.png")
    assert train_stage(recipe(folder)).inputs() == before


def test_a_run_folder_with_another_name_is_another_run(folder: Path) -> None:
    before = train_stage(recipe(folder)).inputs()
    assert train_stage(recipe(folder, run=folder / "elsewhere" / "run")).inputs() == before
    assert train_stage(recipe(folder, run=folder / "other")).inputs() != before


def test_the_files_of_an_export_are_its_outputs(folder: Path) -> None:
    def outputs(settings: ExportSettings) -> list[str]:
        stages = {stage.name: stage for stage in stages_of(recipe(folder, export=settings), silent)}
        return sorted(path.name for path in stages["export"].outputs)

    assert outputs(ExportSettings()) == ["run-float32.tflite", "run-int8.tflite"]
    assert outputs(ExportSettings(precisions=("float16",))) == ["run-float16.tflite", "run-float32.tflite"]
    assert outputs(ExportSettings(ptq=True)) == ["run-float32.tflite", "run-ptq-int8.tflite"]


def test_hashes_of_strings_contents_and_missing_files_differ(tmp_path: Path) -> None:
    file = tmp_path / "file"
    hashes = [hash_of([file])]
    for content in ("", "a", "b"):
        file.write_text(content)
        hashes.append(hash_of([file]))
    hashes += [hash_of(["a"]), hash_of(["a", "b"])]
    assert len(set(hashes)) == len(hashes)
    shutil.copy(file, tmp_path / "copy")
    assert hash_of([file]) == hash_of([tmp_path / "copy"])
