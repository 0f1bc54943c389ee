"""Which stages are done, with stages that only take notes."""

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


class Notes:
    """Three stages, each of which writes the text it depends on, and fails when told to."""

    def __init__(self, folder: Path) -> None:
        self.recipe = Recipe(name="notes", run=folder)
        self.folder = folder
        self.depends_on = dict.fromkeys(("first", "second", "third"), "1")
        self.fails: dict[str, BaseException] = {}
        self.done: list[str] = []

    def stages(self, recipe: Recipe, progress: Progress, log: Log) -> Iterator[Stage]:
        for name in self.depends_on:
            yield Stage(
                name, lambda name=name: self.depends_on[name], (self.folder / name,), lambda name=name: self._do(name)
            )

    def run(self, **options: bool) -> list[str]:
        """The stages that were done."""
        self.done.clear()
        run_recipe(self.recipe, **options)
        return list(self.done)

    def _do(self, name: str) -> None:
        if name in self.fails:
            raise self.fails[name]
        (self.folder / name).write_text(self.depends_on[name])
        self.done.append(name)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes(tmp_path)
    monkeypatch.setattr(module, "stages_of", made.stages)
    return made


def test_stages_are_done_in_order_and_then_skipped(notes: Notes) -> None:
    assert notes.run() == ["first", "second", "third"]
    assert notes.run() == []


def test_a_stage_with_other_inputs_is_done_again(notes: Notes) -> None:
    notes.run()
    notes.depends_on["second"] = "2"
    assert notes.run() == ["second"]


def test_a_stage_whose_output_is_gone_is_done_again(notes: Notes) -> None:
    notes.run()
    (notes.folder / "first").unlink()
    assert notes.run() == ["first"]


def test_force_does_every_stage(notes: Notes) -> None:
    notes.run()
    assert notes.run(force=True) == ["first", "second", "third"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DataError("no photos"), RuntimeError("a fault of ours")])
def test_a_recipe_goes_on_where_it_was_broken_off(failure: BaseException, notes: Notes) -> None:
    notes.fails["second"] = failure
    with pytest.raises(type(failure)):
        notes.run()
    assert json.loads((notes.folder / STATE_FILE).read_text()) == {"first": "1"}
    notes.fails.clear()
    assert notes.run() == ["second", "third"]


def test_a_stage_that_was_done_and_breaks_off_the_next_time_is_not_taken_for_done(notes: Notes) -> None:
    notes.run()
    notes.depends_on["second"] = "2"
    notes.fails["second"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        notes.run()
    notes.fails.clear()
    assert notes.run() == ["second"]


def test_each_stage_is_told_of_as_it_ends(notes: Notes) -> None:
    notes.run()
    (notes.folder / "third").unlink()
    told: list[StageResult] = []
    results = run_recipe(notes.recipe, on_stage=told.append)
    assert tuple(told) == results
    assert [(result.name, result.skipped) for result in results] == [
        ("first", True),
        ("second", True),
        ("third", False),
    ]
    assert all(result.seconds >= 0 for result in results)


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null"])
def test_a_state_that_is_damaged_means_that_nothing_was_done(content: str, notes: Notes) -> None:
    notes.run()
    (notes.folder / STATE_FILE).write_text(content)
    assert notes.run() == ["first", "second", "third"]
