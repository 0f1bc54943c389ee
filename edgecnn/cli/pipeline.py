"""The `edgecnn pipeline` commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgecnn.cli.console import ProgressBars, print_json, print_json_lines, print_table, say
from edgecnn.cli.options.shared import Json

if TYPE_CHECKING:
    from edgecnn.pipeline.run import StageResult

app = typer.Typer(help="Run recipes: chains of stages in TOML.", no_args_is_help=True)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="TOML file, or the name of a recipe that ships with edgecnn.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option(help="Photos to use instead of the recipe's: a folder, or a source of `edgecnn data import`."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to use instead of the recipe's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage again.")] = False,
    json: Json = False,
) -> None:
    """Run a recipe; stages whose inputs have not changed are skipped."""
    from edgecnn.core.settings.recipe import read_recipe
    from edgecnn.pipeline.recipes import find_recipe
    from edgecnn.pipeline.run import recipe_record, run_recipe

    chosen = read_recipe(find_recipe(recipe)).replaced(data=data, run=out)
    with ProgressBars() as progress:
        results = run_recipe(chosen, force=force, progress=progress, on_stage=_report_stage, log=say)
    record = recipe_record(chosen, results)
    if json:
        print_json(record)
    else:
        _print_comparison(record)
        say(f"report: {record['report']}")


@app.command("list")
def list_recipes(json: Json = False) -> None:
    """List the recipes that ship with edgecnn."""
    from edgecnn.core.settings.recipe import read_recipe
    from edgecnn.pipeline.recipes import recipe_files

    recipes = [(path, read_recipe(path)) for path in recipe_files()]
    if json:
        print_json_lines({"name": recipe.name, "path": str(path)} for path, recipe in recipes)
    else:
        rows = [(recipe.name, recipe.train.model, str(path)) for path, recipe in recipes]
        print_table("recipes", ("name", "model", "file"), rows, texts=("model", "file"))


def _report_stage(result: StageResult) -> None:
    say(f"{result.name}: {'unchanged, skipped' if result.skipped else f'done in {result.seconds:.1f} s'}")


def _print_comparison(record: dict[str, Any]) -> None:
    measured = _measurements(record["benchmarks"])
    rows = [_row(name, evaluation, measured.get(name)) for name, evaluation in record["evaluations"].items()]
    columns = ("model", "size", "top-1", "change in points (95 %)", "p50", "p99")
    print_table(f"{record['recipe']}, test photos", columns, rows)


def _measurements(benchmarks: dict[str, Any]) -> dict[str, Any]:
    """Return the size and latency of every model that was benchmarked, also as a baseline, by name."""
    by_name: dict[str, Any] = {}
    for benchmark in benchmarks.values():
        if benchmark["baseline"]:
            by_name[benchmark["baseline"]["name"]] = benchmark["baseline"]
        by_name[benchmark["model"]["name"]] = {**benchmark["model"], "stages": benchmark["stages"]}
    return by_name


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
