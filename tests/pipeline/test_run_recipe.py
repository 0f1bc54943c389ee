"""Selection of the stages that run, tested with stages that only record their calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.core.errors import DataError
from edgecnn.core.progress import Log, Progress
from edgecnn.core.settings.recipe import Recipe
from edgecnn.pipeline import run as module
from edgecnn.pipeline.run import STATE_FILE, StageResult, run_recipe
from edgecnn.pipeline.stages import Stage


class Recorder:
    """Three stages, each of which writes the text that it depends on, or fails on request."""

    def __init__(self, folder: Path) -> None:
        self.recipe = Recipe(name="recorder", run=folder)
        self.folder = folder
        self.depends_on = dict.fromkeys(("first", "second", "third"), "1")
        self.fails: dict[str, BaseException] = {}
        self.done: list[str] = []

    def stages(self, recipe: Recipe, progress: Progress, log: Log) -> Iterator[Stage]:
        for name in self.depends_on:
            yield Stage(
                name,
                lambda name=name: self.depends_on[name],
                (self.folder / name,),
                lambda name=name: self._run_stage(name),
            )

    def run(self, **options: bool) -> list[str]:
        """Run the recipe and return the stages that ran."""
        self.done.clear()
        run_recipe(self.recipe, **options)
        return list(self.done)

    def _run_stage(self, name: str) -> None:
        if name in self.fails:
            raise self.fails[name]
        (self.folder / name).write_text(self.depends_on[name])
        self.done.append(name)


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder(tmp_path)
    monkeypatch.setattr(module, "stages_of", made.stages)
    return made


def test_stages_run_in_order_and_are_then_skipped(recorder: Recorder) -> None:
    assert recorder.run() == ["first", "second", "third"]
    assert recorder.run() == []


def test_a_stage_with_changed_inputs_runs_again(recorder: Recorder) -> None:
    recorder.run()
    recorder.depends_on["second"] = "2"
    assert recorder.run() == ["second"]


def test_a_stage_with_a_missing_output_runs_again(recorder: Recorder) -> None:
    recorder.run()
    (recorder.folder / "first").unlink()
    assert recorder.run() == ["first"]


def test_force_runs_every_stage(recorder: Recorder) -> None:
    recorder.run()
    assert recorder.run(force=True) == ["first", "second", "third"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DataError("no photos"), RuntimeError("a bug")])
def test_a_recipe_resumes_after_the_last_finished_stage(failure: BaseException, recorder: Recorder) -> None:
    recorder.fails["second"] = failure
    with pytest.raises(type(failure)):
        recorder.run()
    assert json.loads((recorder.folder / STATE_FILE).read_text()) == {"first": "1"}
    recorder.fails.clear()
    assert recorder.run() == ["second", "third"]


def test_a_stage_that_fails_later_does_not_count_as_finished(recorder: Recorder) -> None:
    recorder.run()
    recorder.depends_on["second"] = "2"
    recorder.fails["second"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        recorder.run()
    recorder.fails.clear()
    assert recorder.run() == ["second"]


def test_each_stage_is_reported_as_it_finishes(recorder: Recorder) -> None:
    recorder.run()
    (recorder.folder / "third").unlink()
    reported: list[StageResult] = []
    results = run_recipe(recorder.recipe, on_stage=reported.append)
    assert tuple(reported) == results
    assert [(result.name, result.skipped) for result in results] == [
        ("first", True),
        ("second", True),
        ("third", False),
    ]
    assert all(result.seconds >= 0 for result in results)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null"])
def test_a_corrupted_state_reruns_every_stage(content: str, recorder: Recorder) -> None:
    recorder.run()
    (recorder.folder / STATE_FILE).write_text(content)
    assert recorder.run() == ["first", "second", "third"]
