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
    """Folder in which a recipe was run."""

    folder: Path
    recipe: Path
    record: Any
    """Output of `edgecnn pipeline run --json`."""


@pytest.fixture(scope="session")
def finished(few_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    """Yield a small recipe with every stage but qat after the command has run it; tests must not change its files."""
    folder = tmp_path_factory.mktemp("pipeline")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Finished(folder, recipe, json_of("pipeline", "run", recipe, "--data", few_digits))
