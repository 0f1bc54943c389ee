from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.commands import json_of

RECIPE = """
name = "tiny"
run = "runs/tiny"

[train]
height = 32
epochs = 1

[export]
calibration_images = 4

[evaluate]

[benchmark]
queries = 16
seconds = 0

[live]
frames = 3
"""


class Finished(NamedTuple):
    """A folder in which a recipe was carried out."""

    folder: Path
    recipe: Path
    record: Any
    """What `edgecnn pipeline run --json` printed."""


@pytest.fixture(scope="session")
def finished(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """A small recipe with a stage of every kind but qat, carried out by the command; for nobody to change."""
    folder = tmp_path_factory.mktemp("pipeline")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Finished(folder, recipe, json_of("pipeline", "run", recipe, "--data", few_digits))
