"""Command-line options that are generated from the fields of a settings model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from edgecnn.core.errors import InputError
from edgecnn.core.settings.base import Settings

_PARAMETER = "settings"
"""Name of the parameter of a command that receives the settings; the generated options take its position."""

Command = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Differences between an option and the settings field that it sets."""

    help: str | None = None
    """Help text, if the field's description does not suit the command."""
    default: Any = ...
    """Default of the option, if it is not the field's; `...` stands for the field's."""
    metavar: str | None = None
    min: float | None = None
    """Lower limit that Typer checks and shows in the help. The field's own limits always apply."""
    parse: Callable[[str], Any] | None = None
    """Function that turns the text of the option into the field's value. The option then defaults to None, which leaves
    the field at its default."""


def options_from(
    model: type[Settings],
    *,
    only: Collection[str] | None = None,
    exclude: Collection[str] = (),
    overrides: Mapping[str, Override] | None = None,
    panels: Mapping[str, Collection[str]] | None = None,
) -> Callable[[Command], Command]:
    """Return a decorator that gives a Typer command an option for each field of a settings model.

    The command declares one parameter called `settings` and receives the validated model in it. Name, type, default and
    help text of an option are those of the field. A `bool` becomes a flag that can only switch on, a `bool | None` a
    pair of flags; a field that accepts several types becomes a text, which the model converts. Values out of range are
    an `InputError` with the name of the option.

    Args:
        model: Settings model. Its fields need a description, since that becomes the help text.
        only: Names of the fields that become options; all fields by default.
        exclude: Names of fields that do not become options and keep their defaults.
        overrides: Deviations of options from their fields, by field name.
        panels: Names of fields by title of the panel that shows them in the help.

    Returns:
        A decorator for functions with a parameter `settings`.
    """
    deviations = overrides or {}
    names = [name for name in model.model_fields if (only is None or name in only) and name not in exclude]
    panel_of = {name: title for title, fields in (panels or {}).items() for name in fields}
    options = [
        _option(name, model.model_fields[name], deviations.get(name, Override()), panel_of.get(name)) for name in names
    ]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(**arguments: Any) -> None:
            values = {name: arguments.pop(name) for name in names}
            command(**arguments, **{_PARAMETER: _settings_from(model, _parsed(values, deviations))})

        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            parameters += options if parameter.name == _PARAMETER else [parameter]
        # Typer calls a command with keyword arguments, so the order of parameters with and without defaults is free.
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # not in typeshed
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapper

    return decorate


def _settings_from(model: type[Settings], fields: Mapping[str, Any]) -> Settings:
    """Return the settings with the given fields. Raises `InputError` in one line for values out of range."""
    try:
        return model(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + "-".join(str(part) for part in first["loc"][:1]).replace("_", "-")
        raise InputError(f"{option}: {first['msg'].lower()}, got {first['input']}") from None


def _option(name: str, field: FieldInfo, override: Override, panel: str | None) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    flags = {bool: [flag], bool | None: [f"{flag}/--no-{flag.removeprefix('--')}"]}
    kind = _option_type(field, override)
    info = typer.Option(
        *flags.get(kind, []),
        help=override.help or field.description,
        metavar=override.metavar,
        min=override.min,
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=_option_default(field, override, kind),
        annotation=Annotated[kind, info],
    )


def _option_type(field: FieldInfo, override: Override) -> Any:
    if override.parse:
        return str | None
    is_union = get_origin(field.annotation) in (Union, UnionType)
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    return str if is_union and len(kinds) > 1 else field.annotation


def _option_default(field: FieldInfo, override: Override, kind: Any) -> Any:
    if override.parse:
        return None
    default = field.get_default(call_default_factory=True) if override.default is ... else override.default
    return str(default) if kind is str else default


def _parsed(values: Mapping[str, Any], overrides: Mapping[str, Override]) -> dict[str, Any]:
    """Return the values of the fields; a field whose option has to be parsed and was not given is missing."""
    fields = {}
    for name, value in values.items():
        parse = overrides[name].parse if name in overrides else None
        if parse is None:
            fields[name] = value
        elif value is not None:
            fields[name] = parse(value)
    return fields
