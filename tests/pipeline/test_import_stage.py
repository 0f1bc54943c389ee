"""A recipe with photos that are imported from a file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.core.dataset import scan_dataset
from edgecnn.core.errors import InputError
from edgecnn.core.progress import silent
from edgecnn.core.settings.recipe import DataSettings, Recipe
from edgecnn.pipeline.run import run_recipe
from edgecnn.pipeline.stages import Stage, stages_of
from tests.cli.commands import refusal, run_here

RECIPE = """
name = "tiny"
run = "runs/tiny"

[data]
path = "photos"

[train]
height = 32
epochs = 1
"""


def write_npz(path: Path, seed: int = 0) -> Path:
    pictures = np.random.default_rng(seed).integers(0, 256, (24, 32, 32, 3), np.uint8)
    np.savez(path, x_train=pictures, y_train=np.arange(24) % 2, x_test=pictures[:4], y_test=np.arange(4) % 2)
    return path


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Return a recipe whose photos are imported, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    data = DataSettings(path=Path("photos"), source=str(write_npz(Path("mine.npz"))))
    return Recipe(name="r", run=Path("run"), data=data)


def import_stage(recipe: Recipe) -> Stage:
    stage = next(iter(stages_of(recipe, silent)))
    assert stage.name == "import"
    return stage


def test_the_stage_writes_the_photos_and_depends_on_the_content_of_the_file(recipe: Recipe) -> None:
    stage = import_stage(recipe)
    before = stage.inputs()
    stage.run()
    assert all(output.exists() for output in stage.outputs)
    assert scan_dataset(Path("photos")).counts == {"train": 24, "test": 4}
    assert import_stage(recipe).inputs() == before
    write_npz(Path("mine.npz"), seed=1)
    assert import_stage(recipe).inputs() != before


def test_a_changed_file_replaces_the_photos(recipe: Recipe) -> None:
    import_stage(recipe).run()
    before = scan_dataset(Path("photos")).fingerprint
    write_npz(Path("mine.npz"), seed=1)
    import_stage(recipe).run()
    assert scan_dataset(Path("photos")).fingerprint != before


def test_photos_that_were_not_imported_are_not_replaced(recipe: Recipe) -> None:
    Path("photos/cat").mkdir(parents=True)
    assert cv2.imwrite("photos/cat/mine.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="photos is not empty"):
        run_recipe(recipe)
    assert Path("photos/cat/mine.png").exists()


def test_a_file_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(RECIPE)
    assert "has no photos in photos yet: set --data" in refusal("pipeline", "run", "tiny.toml")
    # With one class, training fails at once, which keeps the test short.
    np.savez("mine.npz", x_train=np.zeros((4, 32, 32), np.uint8), y_train=np.zeros(4, np.uint8))

    def import_lines(*options: object) -> list[str]:
        outcome = run_here("pipeline", "run", "tiny.toml", *options)
        assert "has one class" in outcome.errors[0]
        return [line.split(" in ")[0] for line in outcome.log if line.startswith("import: ")]

    assert import_lines("--data", "mine.npz") == ["import: done"]
    assert import_lines("--data", "mine.npz") == ["import: unchanged, skipped"]
    # The photos exist now, so the recipe runs without --data.
    assert import_lines() == []
