from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgecnn.pipeline.recipes import recipe_files
from tests.cli.commands import json_lines_of, json_of, refusal, run_here
from tests.pipeline.conftest import Finished

STAGES = ["train", "export", "evaluate", "benchmark", "live", "report"]
RUN = Path("runs/tiny")


@pytest.fixture
def again(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the recipe in a writable copy of the finished folder, which becomes the working directory."""
    folder = shutil.copytree(finished.folder, tmp_path / "work")
    monkeypatch.chdir(folder)
    return folder / finished.recipe.name


def files_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the modification times and contents of all files below a folder, by path."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def stages_run_by(recipe: Path, *options: object) -> list[str]:
    """Run a recipe with the command and return the stages that were not skipped."""
    return [stage["name"] for stage in json_of("pipeline", "run", recipe, *options)["stages"] if not stage["skipped"]]


def test_the_command_runs_every_stage_and_prints_one_object(finished: Finished) -> None:
    record = finished.record
    assert set(record) == {"recipe", "run", "stages", "metrics", "evaluations", "benchmarks", "report"}
    assert [(stage["name"], stage["skipped"]) for stage in record["stages"]] == [(name, False) for name in STAGES]
    assert (record["recipe"], record["run"], record["report"]) == ("tiny", "runs/tiny", "runs/tiny/report.html")
    evaluation = record["evaluations"]["tiny-int8"]
    assert evaluation["n"] == evaluation["baseline"]["n"] == 12
    assert set(record["benchmarks"]) == {"tiny-int8"}
    assert "samples" not in record["benchmarks"]["tiny-int8"]


def test_the_run_folder_contains_the_outputs_of_the_stages(finished: Finished) -> None:
    run = finished.folder / RUN
    assert sorted(path.name for path in (run / "export").iterdir()) == ["tiny-float32.tflite", "tiny-int8.tflite"]
    lines = [json.loads(line) for line in (run / "results" / "live.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert "tiny-int8" in (run / "report.html").read_text()


def test_a_second_run_skips_every_stage_and_changes_no_file(again: Path, few_digits: Path) -> None:
    before = files_in(again.parent)
    outcome = run_here("pipeline", "run", again, "--data", few_digits)
    assert outcome.status == 0
    assert [line for line in outcome.log if "skipped" in line] == [f"{name}: unchanged, skipped" for name in STAGES]
    assert files_in(again.parent) == before
    assert "tiny-int8" in outcome.stdout and "tiny-float32" in outcome.stdout


def test_a_changed_setting_reruns_its_stage_and_the_dependent_ones(again: Path, few_digits: Path) -> None:
    again.write_text(again.read_text().replace("[evaluate]", "[evaluate]\nmax_drop = 100"))
    assert stages_run_by(again, "--data", few_digits) == ["evaluate", "report"]
    assert stages_run_by(again, "--data", few_digits) == []


def test_a_stage_with_a_missing_output_runs_again(again: Path, few_digits: Path) -> None:
    (RUN / "results" / "live.jsonl").unlink()
    (RUN / "report.html").unlink()
    assert stages_run_by(again, "--data", few_digits) == ["live", "report"]


def test_an_undecided_gate_ends_the_recipe_with_status_4(again: Path, few_digits: Path) -> None:
    again.write_text(again.read_text().replace("[evaluate]", "[evaluate]\nmax_drop = 1"))
    outcome = run_here("pipeline", "run", again, "--data", few_digits)
    assert outcome.status == 4
    assert outcome.stdout == ""
    assert outcome.errors == [outcome.log[-1]]
    assert "undecided: top-1 changes by" in outcome.log[-1]
    # The evaluation is kept, and the next run checks the gate again.
    assert json.loads((RUN / "results" / "tiny-int8.evaluation.json").read_text())["gate"]["passed"] is None
    assert run_here("pipeline", "run", again, "--data", few_digits).status == 4


def test_list_names_the_recipes_that_ship_with_edgecnn() -> None:
    assert json_lines_of("pipeline", "list") == [{"name": path.stem, "path": str(path)} for path in recipe_files()]
    shown = run_here("pipeline", "list").stdout
    assert "quickstart" in shown and "clothing" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[train]\nepoch = 3\n", "unknown key in bad.toml [train] 'epoch': did you mean 'epochs'?"),
        ("[trian]\n", "unknown key in bad.toml 'trian': did you mean 'train'?"),
        (
            "[evaluate]\n",
            "bad.toml: [evaluate] measures the int8 file; add [export] and include int8 in its precisions",
        ),
        ("[train\n", "recipe bad.toml is not valid TOML: "),
    ],
)
def test_an_invalid_recipe_is_refused_in_one_line_and_leaves_no_file(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text(f'name = "bad"\nrun = "run"\n{text}')
    assert refusal("pipeline", "run", "bad.toml").startswith(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


def test_the_nearest_name_is_suggested_for_an_unknown_recipe() -> None:
    assert refusal("pipeline", "run", "quikstart") == "unknown recipe 'quikstart': did you mean 'quickstart'?"


def test_a_recipe_without_photos_is_refused() -> None:
    expected = "recipe 'clothing' names no photos: set them with --data FOLDER"
    assert refusal("pipeline", "run", "clothing") == expected


def test_a_file_as_the_run_folder_is_refused(again: Path, few_digits: Path) -> None:
    Path("file").write_text("")
    line = refusal("pipeline", "run", again, "--data", few_digits, "--out", "file")
    assert line == "file is a file, not a folder; choose another --out"
