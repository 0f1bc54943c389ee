from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.core.settings.command_settings import ExportSettings, TrainSettings
from edgecnn.core.settings.recipe import DataSettings, Recipe, read_recipe

SMALLEST = 'name = "small"\nrun = "runs/small"\n'


def write_recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_recipe(write_recipe(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_settings_have_the_defaults_of_the_command_line(tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path, SMALLEST))
    assert recipe == Recipe(name="small", run=Path("runs/small"))
    assert recipe.train == TrainSettings()
    assert (recipe.qat, recipe.export, recipe.evaluate, recipe.benchmark, recipe.live) == (None,) * 5


def test_empty_table_enables_a_stage_with_its_defaults(tmp_path: Path) -> None:
    assert read_recipe(write_recipe(tmp_path, SMALLEST + "[export]\n")).export == ExportSettings()


def test_settings_of_a_recipe_are_read(tmp_path: Path) -> None:
    recipe = read_recipe(
        write_recipe(
            tmp_path,
            SMALLEST
            + '[data]\nprepare = "digits"\npath = "data/digits"\n'
            + '[train]\nmodel = "mobilenet_v2"\nalpha = 0.35\naugment.flip = false\n'
            + '[export]\nprecisions = ["float32", "float16", "int8"]\n'
            + "[evaluate]\nmax_drop = 1\n",
        )
    )
    assert recipe.data == DataSettings(path=Path("data/digits"), prepare="digits")
    assert recipe.train == TrainSettings(model="mobilenet_v2", alpha=0.35, augment=AugmentSettings(flip=False))
    assert recipe.export is not None and recipe.export.precisions == ("float32", "float16", "int8")
    assert recipe.evaluate is not None and recipe.evaluate.max_drop == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[train]\nlerning_rate = 1\n",
            "unknown key in recipe.toml [train] 'lerning_rate': did you mean 'learning_rate'?",
        ),
        ("[train.augment]\nflp = true\n", "unknown key in recipe.toml [train] [augment] 'flp': did you mean 'flip'?"),
        ("[train.augment]\ncrop = 1\n", "train.augment.crop: Input should be less than 1, got 1"),
        ("[exprot]\n", "unknown key in recipe.toml 'exprot': did you mean 'export'?"),
        ("[benchmark]\nzzz = 1\n", "unknown key in recipe.toml [benchmark] 'zzz': known: quick, threads"),
        ("[train]\nepochs = 0\n", "train.epochs: Input should be greater than or equal to 1, got 0"),
        ('[export]\nprecisions = ["int9"]\n', "export.precisions.0: Input should be 'float32', 'float16'"),
        ('[data]\nsource = "x.npz"\n', "data: Value error, source needs a path, the folder to write the photos to"),
        (
            '[data]\npath = "x"\nsource = "x.npz"\nprepare = "digits"\n',
            "data: Value error, prepare and source exclude each other; remove one of them",
        ),
        ("train = 3\n", "train: Input should be a valid dictionary"),
        ("live = false\n", "live: Input should be a valid dictionary"),
    ],
)
def test_error_names_an_unknown_key_or_invalid_value(text: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(tmp_path, SMALLEST + text)


@pytest.mark.parametrize("stage", ["evaluate", "benchmark", "live"])
@pytest.mark.parametrize("export", ["", '[export]\nprecisions = ["float32", "float16"]\n'])
def test_stage_without_the_file_that_it_needs_is_refused_immediately(stage: str, export: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, f"{SMALLEST}{export}[{stage}]\n")
    assert message.endswith(f"[{stage}] measures the int8 file; add [export] and include int8 in its precisions")


def test_recipe_needs_a_name_and_a_run_folder(tmp_path: Path) -> None:
    assert "run: Field required" in refusal(tmp_path, 'name = "x"\n')
    assert "name: Field required" in refusal(tmp_path, 'run = "x"\n')
    assert "run: Input is not a valid path" in refusal(tmp_path, 'name = "x"\n[run]\nfolder = "x"\n')


@pytest.mark.parametrize("content", [b"[train", b"epochs = \n", b"\xff\xfe\x00", b"a = 1\na = 2\n"])
def test_invalid_toml_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not valid TOML"):
        read_recipe(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        read_recipe(tmp_path / "absent.toml")


def test_given_photos_need_no_preparation() -> None:
    recipe = Recipe(name="r", run=Path("run"), data=DataSettings(path=Path("data"), prepare="digits"))
    assert recipe.replaced(data=None, run=None) == recipe
    assert recipe.replaced(data=Path("mine"), run=None).data == DataSettings(path=Path("mine"))
    assert recipe.replaced(data=None, run=Path("other")) == recipe.model_copy(update={"run": Path("other")})


@pytest.mark.parametrize("source", ["mnist.npz", "folder/LABELS.CSV", "tfds:beans/default:0.1.0"])
def test_photos_are_imported_to_the_folder_of_the_recipe(source: str) -> None:
    recipe = Recipe(name="r", run=Path("run"), data=DataSettings(path=Path("photos"), prepare="digits"))
    assert recipe.replaced(data=Path(source), run=None).data == DataSettings(path=Path("photos"), source=source)
    with pytest.raises(
        InputError, match=r"recipe 'r' names no folder to import .*: create one with edgecnn data import"
    ):
        Recipe(name="r", run=Path("run")).replaced(data=Path(source), run=None)
