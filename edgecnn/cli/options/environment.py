"""The option `--options-from VARIABLE`, which reads further options from an environment variable.

Only the owner of a process may read its environment, while `ps` shows its command line to everybody.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from edgecnn.core.errors import InputError

_OPTION = "--options-from"

OptionsFrom = Annotated[
    str | None,
    typer.Option(
        _OPTION,
        metavar="VARIABLE",
        help="Read further options from this environment variable, so that passwords do not show up in ps.",
    ),
]
"""Declared for the help only. A command never receives a value, because `EnvironmentOptions` replaces the option."""


class EnvironmentOptions(TyperCommand):
    """A command that accepts `--options-from VARIABLE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments after `--options-from` has been replaced."""
        return super().parse_args(ctx, list(expand_arguments(args, os.environ)))


def expand_arguments(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield command-line arguments, with the content of a variable in place of each `--options-from VARIABLE`.

    The content is split like a command line in a shell. Raises `InputError`, whose message never repeats the content.
    """
    remaining = iter(arguments)
    for argument in remaining:
        option, equals, variable = argument.partition("=")
        if option != _OPTION:
            yield argument
            continue
        variable = variable if equals else next(remaining, "")
        if variable not in environment:
            raise InputError(f"{_OPTION} needs the name of an environment variable that is set, got {variable!r}")
        try:
            inserted = shlex.split(environment[variable])
        except ValueError as error:
            raise InputError(f"the environment variable {variable} cannot be parsed: {str(error).lower()}") from None
        if any(word.partition("=")[0] == _OPTION for word in inserted):
            raise InputError(f"the environment variable {variable} must not contain {_OPTION}; remove it there")
        yield from inserted
