from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.settings.command_settings import ExportSettings
from edgecnn.core.settings.min_recall import MinRecall, parse_min_recall
from edgecnn.core.settings.recipe import read_recipe


@pytest.mark.parametrize(
    ("text", "label", "recall"),
    [("pneumonia=0.98", "pneumonia", 0.98), ("a = b = 1", "a = b", 1.0), ("T-shirt=.5", "T-shirt", 0.5)],
)
def test_class_and_recall_are_parsed(text: str, label: str, recall: float) -> None:
    assert parse_min_recall(text) == MinRecall(label=label, recall=recall)


@pytest.mark.parametrize("text", ["pneumonia", "pneumonia=", "=0.9", "pneumonia=98", "pneumonia=0", "x=nan", ""])
def test_invalid_value_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="expected a class and a recall above 0 and up to 1, such as") as caught:
        parse_min_recall(text)
    assert "\n" not in str(caught.value)


def test_settings_survive_a_round_trip_through_json() -> None:
    settings = ExportSettings(min_recall=MinRecall(label="a=b", recall=0.9))
    assert ExportSettings.model_validate_json(settings.model_dump_json()) == settings


def test_recipe_accepts_the_notation_of_the_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "chest.toml"
    recipe.write_text('name = "chest"\nrun = "runs/chest"\n[export]\nmin_recall = "pneumonia=0.98"\n')
    export = read_recipe(recipe).export
    assert export is not None and export.min_recall == MinRecall(label="pneumonia", recall=0.98)
    recipe.write_text(recipe.read_text().replace("=0.98", ""))
    with pytest.raises(InputError, match=r"export\.min_recall: .*such as pneumonia=0\.98, got 'pneumonia'"):
        read_recipe(recipe)
