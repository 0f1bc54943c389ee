"""`edgecnn pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_json_lines, print_table, say
from edgecnn.cli.options import Json

if TYPE_CHECKING:
    from edgecnn.core.settings.recipe import Recipe
    from edgecnn.pipeline.run import StageResult

app = typer.Typer(help="Recipes: chains of stages in TOML.", no_args_is_help=True)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A TOML file, or the name of a recipe that edgecnn brings.")],
    data: Annotated[
        Path | None,
        typer.Option(help="The photos, in place of the recipe's: a folder, or what `edgecnn data import` takes."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder, in place of the recipe's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Do every stage again.")] = False,
    json: Json = False,
) -> None:
    """Carry a recipe out; a stage whose inputs have not changed is skipped."""
    from edgecnn.core.settings.recipe import read_recipe
    from edgecnn.pipeline.recipes import find_recipe
    from edgecnn.pipeline.run import run_recipe

    chosen = read_recipe(find_recipe(recipe)).replaced(data=data, run=out)
    with ProgressBars() as progress:
        results = run_recipe(chosen, force=force, progress=progress, on_stage=_say_done, log=say)
    record = _outcome(chosen, results)
    if json:
        print_json(record)
    else:
        _print_comparison(record)
        say(f"report: {record['report']}")


@app.command("list")
def list_recipes(json: Json = False) -> None:
    """List the recipes that edgecnn brings."""
    from edgecnn.core.settings.recipe import read_recipe
    from edgecnn.pipeline.recipes import recipe_files

    recipes = [(path, read_recipe(path)) for path in recipe_files()]
    if json:
        print_json_lines({"name": recipe.name, "path": str(path)} for path, recipe in recipes)
    else:
        rows = [(recipe.name, recipe.train.model, str(path)) for path, recipe in recipes]
        print_table("recipes", ("name", "model", "file"), rows, texts=("model", "file"))


def _say_done(result: StageResult) -> None:
    say(f"{result.name}: {'unchanged, skipped' if result.skipped else f'done in {result.seconds:.1f} s'}")


def _outcome(recipe: Recipe, results: tuple[StageResult, ...]) -> dict[str, Any]:
    from edgecnn.core.run.run_folder import read_run
    from edgecnn.core.run.saved_results import read_benchmarks, read_evaluations

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


def _print_comparison(record: dict[str, Any]) -> None:
    measured = _measurements(record["benchmarks"])
    rows = [_row(name, evaluation, measured.get(name)) for name, evaluation in record["evaluations"].items()]
    columns = ("model", "size", "top-1", "change in points (95 %)", "p50", "p99")
    print_table(f"{record['recipe']}, test photos", columns, rows)


def _measurements(benchmarks: dict[str, Any]) -> dict[str, Any]:
    """Size and latency of each model, measured by itself or as another's baseline."""
    found: dict[str, Any] = {}
    for benchmark in benchmarks.values():
        if benchmark["baseline"]:
            found[benchmark["baseline"]["name"]] = benchmark["baseline"]
        found[benchmark["model"]["name"]] = {**benchmark["model"], "stages": benchmark["stages"]}
    return found


def _row(name: str, evaluation: dict[str, Any], measured: dict[str, Any] | None) -> tuple[str, ...]:
    total = measured["stages"]["total"] if measured else None
    return (
        name,
        f"{measured['size_bytes'] / 1e6:.2f} MB" if measured else "-",
        f"{evaluation['top1']:.4f}",
        _change(evaluation["paired"]),
        f"{total['p50_ms']:.2f} ms" if total else "-",
        f"{total['p99_ms']:.2f} ms" if total else "-",
    )


def _change(paired: dict[str, Any] | None) -> str:
    if paired is None:
        return "-"
    low, high = (100 * bound for bound in paired["ci95"])
    return f"{100 * paired['delta_top1']:+.2f} ({low:+.2f} to {high:+.2f})"
