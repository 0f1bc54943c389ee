"""Options that are generated from a settings model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field, field_validator
from typer.testing import CliRunner

from edgecnn.bench.protocol import QUICK, Protocol
from edgecnn.cli.options.from_settings import Override, options_from
from edgecnn.core.errors import InputError
from edgecnn.core.settings.base import Settings
from edgecnn.core.settings.command_settings import (
    BenchmarkSettings,
    EvaluateSettings,
    ExportSettings,
    QatSettings,
    RunSettings,
    TrainSettings,
)


class Paint(Settings):
    """Settings with a field of each kind."""

    model: str = "oil"
    """Kind of paint, in a field whose name is also that of a parameter of `options_from`."""
    color: Literal["red", "green"] = "red"
    """Color of the paint."""
    layer_count: int = Field(default=2, ge=1)
    """Number of layers."""
    glossy: bool = False
    """Add gloss."""
    dry: bool | None = None
    """Wait until it is dry."""
    amount: Annotated[int, Field(ge=1)] | str = 5
    """Amount, or a name for it."""
    mix: tuple[int, ...] = (1, 1)
    """Proportions."""
    secret: int = 7
    """Not an option."""

    @field_validator("amount", mode="before")
    @classmethod
    def _number_from_text(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdigit() else value


def parse_mix(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(":"))


def paint_with(*arguments: str, **options: Any) -> tuple[Paint, list[str]]:
    """Run a command with generated options; return its settings and the lines of its other arguments."""
    received: list[Any] = []
    options = {"exclude": ("secret",), "overrides": {"mix": Override(parse=parse_mix)}} | options

    @options_from(Paint, **options)
    def command(wall: str, *, settings: Paint, note: str = "none") -> None:
        received.extend((settings, [wall, note]))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["north", *arguments])
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return received[0], received[1]


def test_omitted_options_have_the_defaults_of_the_fields() -> None:
    assert paint_with() == (Paint(), ["north", "none"])


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (("--model", "chalk"), "model", "chalk"),
        (("--color", "green"), "color", "green"),
        (("--layer-count", "3"), "layer_count", 3),
        (("--glossy",), "glossy", True),
        (("--dry",), "dry", True),
        (("--no-dry",), "dry", False),
        (("--amount", "plenty"), "amount", "plenty"),
        (("--amount", "8"), "amount", 8),
        (("--mix", "2:1"), "mix", (2, 1)),
    ],
)
def test_an_option_sets_its_field(arguments: tuple[str, ...], field: str, value: object) -> None:
    settings, _ = paint_with(*arguments)
    assert settings == Paint.model_validate({field: value})


def test_other_parameters_are_passed_unchanged() -> None:
    assert paint_with("--note", "later")[1] == ["north", "later"]


def test_a_value_out_of_range_is_an_error_that_names_the_option() -> None:
    with pytest.raises(InputError) as error:
        paint_with("--layer-count", "0")
    assert str(error.value) == "--layer-count: input should be greater than or equal to 1, got 0"


def test_only_the_selected_fields_become_options() -> None:
    assert paint_with("--layer-count", "3", only=("layer_count",))[0] == Paint(layer_count=3)
    with pytest.raises(AssertionError, match="No such option"):
        paint_with("--color", "green", only=("layer_count",))


def test_an_override_changes_the_default() -> None:
    assert paint_with(overrides={"mix": Override(parse=parse_mix), "glossy": Override(default=True)})[0].glossy


def _help_of(decorate: Callable[..., Any]) -> str:
    def command(*, settings: Paint) -> None:
        """Paint a wall."""

    app = typer.Typer()
    app.command()(decorate(command))
    return CliRunner().invoke(app, ["--help"]).output


def test_the_help_shows_descriptions_panels_and_limits() -> None:
    override = Override(help="Number of coats.", min=1, metavar="COATS")
    shown = _help_of(
        options_from(Paint, exclude=("mix",), overrides={"layer_count": override}, panels={"Look": ("color", "glossy")})
    )
    assert all(text in shown for text in ("Paint a wall.", "Color of the paint.", "Number of coats.", "COATS", "Look"))
    assert "--dry" in shown and "--no-dry" in shown
    assert "--glossy" in shown and "--no-glossy" not in shown


@pytest.mark.parametrize(
    "model", [TrainSettings, QatSettings, ExportSettings, EvaluateSettings, BenchmarkSettings, RunSettings]
)
def test_every_field_of_the_settings_has_a_description(model: type[Settings]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_the_help_of_benchmark_states_the_defaults_of_the_protocol() -> None:
    queries, seconds, quick = (
        BenchmarkSettings.model_fields[name].description or "" for name in ("queries", "seconds", "quick")
    )
    full = Protocol()
    assert str(full.queries) in queries and str(QUICK.queries) in queries
    assert f"{full.min_seconds:g}" in seconds and f"{QUICK.min_seconds:g}" in seconds
    assert str(QUICK.queries) in quick and f"{QUICK.min_seconds:g} s" in quick
