"""Carrying a recipe out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.atomic import write_json
from edgecnn.core.progress import Log, Progress, silent
from edgecnn.core.settings.recipe import Recipe
from edgecnn.pipeline.stages import Stage, stages_of

STATE_FILE = "pipeline.json"


class StageResult(NamedTuple):
    """What became of a stage."""

    name: str
    skipped: bool
    seconds: float


def run_recipe(
    recipe: Recipe,
    *,
    force: bool = False,
    progress: Progress = silent,
    on_stage: Callable[[StageResult], None] = lambda result: None,
    log: Log = lambda line: None,
) -> tuple[StageResult, ...]:
    """Does the stages of a recipe that are not up to date, all of them with `force`, and tells of each as it ends.

    What was finished is remembered in `RUN/pipeline.json`, so an interrupted recipe goes on where it was. `tell` gets
    what a stage says is worth knowing before it takes long. Raises what the stages raise.
    """
    state = recipe.run / STATE_FILE
    results = []
    for stage in stages_of(recipe, progress, log):
        result = _do(stage, state, force)
        results.append(result)
        on_stage(result)
    return tuple(results)


def _do(stage: Stage, state: Path, force: bool) -> StageResult:
    started = time.perf_counter()
    done = _read(state)
    before = stage.inputs()
    if not force and done.get(stage.name) == before and all(path.exists() for path in stage.outputs):
        return StageResult(stage.name, True, time.perf_counter() - started)
    stage.do()
    write_json(state, {**_read(state), stage.name: before})
    return StageResult(stage.name, False, time.perf_counter() - started)


def _read(state: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(state.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return {}
