"""Execution of a recipe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgecnn.core.atomic import write_json
from edgecnn.core.progress import Log, Progress, silent
from edgecnn.core.run.run_folder import read_run
from edgecnn.core.run.saved_results import read_benchmarks, read_evaluations
from edgecnn.core.settings.recipe import Recipe
from edgecnn.pipeline.stages import Stage, stages_of

STATE_FILE = "pipeline.json"


class StageResult(NamedTuple):
    """Outcome of a stage."""

    name: str
    skipped: bool
    """True if the stage was up to date."""
    seconds: float


def run_recipe(
    recipe: Recipe,
    *,
    force: bool = False,
    progress: Progress = silent,
    on_stage: Callable[[StageResult], None] = lambda result: None,
    log: Log = lambda line: None,
) -> tuple[StageResult, ...]:
    """Run the stages of a recipe that are not up to date.

    `RUN/pipeline.json` records every finished stage, so an interrupted recipe resumes with the stage that was
    interrupted.

    Args:
        recipe: Recipe to run.
        force: Run all stages, including those that are up to date.
        progress: Called as the stages make progress.
        on_stage: Called with the result of each stage as soon as it has finished.
        log: Called with messages of the stages, such as advice before a long training.

    Returns:
        The results of all stages, in order.

    Raises:
        EdgecnnError: If a stage fails.
    """
    state = recipe.run / STATE_FILE
    results = []
    for stage in stages_of(recipe, progress, log):
        result = _run_stage(stage, state, force=force)
        results.append(result)
        on_stage(result)
    return tuple(results)


def recipe_record(recipe: Recipe, results: Sequence[StageResult]) -> dict[str, Any]:
    """Return the JSON object that `edgecnn pipeline run --json` prints.

    Args:
        recipe: Recipe that has been run.
        results: Results of its stages.

    Returns:
        The stages, the metrics of the run, and the evaluations and benchmarks of its models by name. The samples of the
        benchmarks are left out.
    """
    folder, run = read_run(recipe.run)
    return {
        "recipe": recipe.name,
        "run": str(folder.path),
        "stages": [result._asdict() for result in results],
        "metrics": run.metrics,
        "evaluations": {name: record.to_json() for name, record in read_evaluations(folder).items()},
        "benchmarks": {name: record.to_json(without={"samples"}) for name, record in read_benchmarks(folder).items()},
        "report": str(folder.report),
    }


def _run_stage(stage: Stage, state: Path, *, force: bool) -> StageResult:
    started = time.perf_counter()
    finished = _read_state(state)
    inputs = stage.inputs()
    if not force and finished.get(stage.name) == inputs and all(path.exists() for path in stage.outputs):
        return StageResult(stage.name, True, time.perf_counter() - started)
    stage.run()
    write_json(state, {**_read_state(state), stage.name: inputs})
    return StageResult(stage.name, False, time.perf_counter() - started)


def _read_state(state: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(state.read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return {}
