"""Recipes: a chain of stages in TOML, one table a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator

from edgecnn.core.errors import InputError, UnknownName, first_problem
from edgecnn.core.import_source import is_import_source
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.command_settings import (
    BenchmarkSettings,
    EvaluateSettings,
    ExportSettings,
    QatSettings,
    RunSettings,
    TrainSettings,
)
from edgecnn.core.toml_file import read_toml


class DataSettings(Settings):
    """Where a recipe's photos are. They are written there first where `prepare` or `source` says from what."""

    path: Path | None = None
    prepare: Literal["digits"] | None = None
    """`digits` are scikit-learn's, which need no download."""
    source: str | None = None
    """What `edgecnn data import` takes: an `.npz`, a `.csv`, or `tfds:NAME`."""

    @model_validator(mode="after")
    def _one_origin_and_a_place(self) -> Self:
        if self.prepare and self.source:
            raise ValueError("the photos come from prepare or from source, not from both")
        if self.source and self.path is None:
            raise ValueError("source needs a path, the folder that the photos are written to")
        return self


class Recipe(Settings):
    """A recipe. A stage whose table is missing is left out; `train` is always there."""

    name: str
    run: Path
    """The run folder."""
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    qat: QatSettings | None = None
    export: ExportSettings | None = None
    evaluate: EvaluateSettings | None = None
    benchmark: BenchmarkSettings | None = None
    live: RunSettings | None = None
    """`run` over a video made of test images."""

    def replaced(self, *, data: Path | None, run: Path | None) -> Recipe:
        """The recipe over other photos, or into another run folder.

        A folder that is given needs no preparing; what photos are imported from goes to the recipe's own folder.
        Raises `InputError` where the recipe names none.
        """
        recipe = self.model_copy(update={"run": run}) if run else self
        return recipe.model_copy(update={"data": self._other_data(data)}) if data else recipe

    def _other_data(self, data: Path) -> DataSettings:
        if not is_import_source(str(data)):
            return DataSettings(path=data)
        if self.data.path is None:
            raise InputError(
                f"recipe {self.name!r} names no folder to import {data} to: make one with "
                f"edgecnn data import {data} --out FOLDER, and give that"
            )
        return DataSettings(path=self.data.path, source=str(data))


def read_recipe(path: Path) -> Recipe:
    """Reads a recipe. Raises `InputError`; an unknown key is one, with the nearest name."""
    document = read_toml(path, "recipe")
    _check_keys(document, Recipe, path.name)
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
    _check_stages(recipe, path)
    return recipe


def _check_stages(recipe: Recipe, path: Path) -> None:
    """That a file is missing should not come out after an hour of training."""
    users = [name for name in ("evaluate", "benchmark", "live") if getattr(recipe, name) is not None]
    if users and (recipe.export is None or "int8" not in recipe.export.precisions):
        raise InputError(f"{path}: [{users[0]}] measures the int8 file; add [export] with int8 among its precisions")


def _check_keys(table: dict[str, Any], model: type[Settings], where: str) -> None:
    for key, value in table.items():
        if key not in model.model_fields:
            raise UnknownName(f"key in {where}", key, model.model_fields)
        table_model = _table_of(model, key)
        if table_model and isinstance(value, dict):
            _check_keys(value, table_model, f"{where} [{key}]")


def _table_of(model: type[Settings], key: str) -> type[Settings] | None:
    annotation = model.model_fields[key].annotation
    kinds = [annotation, *getattr(annotation, "__args__", ())]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)), None)
