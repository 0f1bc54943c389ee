from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.settings.recipe import read_recipe
from edgecnn.pipeline.recipes import find_recipe, recipe_files


@pytest.mark.parametrize("path", recipe_files(), ids=lambda path: path.stem)
def test_a_recipe_that_ships_with_edgecnn_is_valid_and_named_after_its_file(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.run == Path("runs") / path.stem
    assert recipe.export is not None and recipe.evaluate is not None


def test_the_recipes_are_found() -> None:
    assert [path.stem for path in recipe_files()] == ["clothing", "mnist", "pneumonia", "quickstart"]


def test_a_recipe_is_found_by_its_name_and_by_its_path(tmp_path: Path) -> None:
    assert find_recipe("quickstart") in recipe_files()
    own = tmp_path / "own.toml"
    own.write_text("")
    assert find_recipe(str(own)) == own


def test_a_folder_with_the_name_of_a_recipe_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert find_recipe("quickstart") in recipe_files()


def test_an_unknown_name_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown recipe 'clohting': did you mean 'clothing'"):
        find_recipe("clohting")
    with pytest.raises(InputError, match=r"no such recipe: .*absent\.toml; edgecnn pipeline list shows those"):
        find_recipe(str(tmp_path / "absent.toml"))
