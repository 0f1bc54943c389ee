"""Recipes: chains of stages in TOML, with one table per stage."""

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
    """Photos of a recipe. With `prepare` or `source`, the recipe first writes them to `path`."""

    path: Path | None = None
    """Folder of the photos."""
    prepare: Literal["digits"] | None = None
    """Data set to generate: `digits` is scikit-learn's, which needs no download."""
    source: str | None = None
    """Source to import photos from, as for `edgecnn data import`: an `.npz`, a `.csv`, or `tfds:NAME`."""

    @model_validator(mode="after")
    def _one_origin_and_a_folder(self) -> Self:
        if self.prepare and self.source:
            raise ValueError("prepare and source exclude each other; remove one of them")
        if self.source and self.path is None:
            raise ValueError("source needs a path, the folder to write the photos to")
        return self


class Recipe(Settings):
    """Settings of all stages. A stage without a table is skipped, except `train`, which always runs."""

    name: str
    """Name of the recipe."""
    run: Path
    """The run folder."""
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    qat: QatSettings | None = None
    export: ExportSettings | None = None
    evaluate: EvaluateSettings | None = None
    benchmark: BenchmarkSettings | None = None
    live: RunSettings | None = None
    """Settings of a live run over a video made of test images."""

    def replaced(self, *, data: Path | None, run: Path | None) -> Recipe:
        """Return the recipe for other photos or another run folder.

        Args:
            data: Folder of photos, which needs no preparation, or a source to import photos from, which are written to
                the recipe's own folder. None keeps the recipe's photos.
            run: Run folder. None keeps the recipe's.

        Returns:
            The changed recipe.

        Raises:
            InputError: `data` is a source to import from, but the recipe names no folder to write the photos to.
        """
        recipe = self.model_copy(update={"run": run}) if run else self
        return recipe.model_copy(update={"data": self._other_data(data)}) if data else recipe

    def _other_data(self, data: Path) -> DataSettings:
        if not is_import_source(str(data)):
            return DataSettings(path=data)
        if self.data.path is None:
            raise InputError(
                f"recipe {self.name!r} names no folder to import {data} to: create one with "
                f"edgecnn data import {data} --out FOLDER, and use that folder"
            )
        return DataSettings(path=self.data.path, source=str(data))


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Args:
        path: TOML file.

    Returns:
        The recipe.

    Raises:
        InputError: The file is missing, not TOML, or contains an invalid value, or its stages do not fit together.
        UnknownName: The file contains an unknown key; the error suggests the nearest one.
    """
    document = read_toml(path, "recipe")
    _check_keys(document, Recipe, path.name)
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
    _check_stages(recipe, path)
    return recipe


def _check_stages(recipe: Recipe, path: Path) -> None:
    """Check that the stages produce the files that others need, so that nothing fails after an hour of training."""
    consumers = [name for name in ("evaluate", "benchmark", "live") if getattr(recipe, name) is not None]
    if consumers and (recipe.export is None or "int8" not in recipe.export.precisions):
        raise InputError(
            f"{path}: [{consumers[0]}] measures the int8 file; add [export] and include int8 in its precisions"
        )


def _check_keys(table: dict[str, Any], model: type[Settings], where: str) -> None:
    for key, value in table.items():
        if key not in model.model_fields:
            raise UnknownName(f"key in {where}", key, model.model_fields)
        table_model = _settings_of(model, key)
        if table_model and isinstance(value, dict):
            _check_keys(value, table_model, f"{where} [{key}]")


def _settings_of(model: type[Settings], key: str) -> type[Settings] | None:
    annotation = model.model_fields[key].annotation
    types = [annotation, *getattr(annotation, "__args__", ())]
    return next((item for item in types if isinstance(item, type) and issubclass(item, Settings)), None)
