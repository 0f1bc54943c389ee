"""Options in a variable of the environment, which only its owner may read: a command line is shown to all by `ps`."""

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
        help="Take further options from this variable of the environment, where ps does not show their passwords.",
    ),
]
"""For the help; a command never gets a value, since `EnvironmentOptions` puts the options in its place."""


class EnvironmentOptions(TyperCommand):
    """A command that knows `--options-from VARIABLE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(expanded(args, os.environ)))


def expanded(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """The words of a command line, with the options that a variable holds in the place of its name.

    They are words as a shell has them. Raises `InputError`, without repeating what the variable holds.
    """
    rest = iter(words)
    for word in rest:
        option, equals, name = word.partition("=")
        if option != _OPTION:
            yield word
            continue
        name = name if equals else next(rest, "")
        if name not in environment:
            raise InputError(f"expected a variable of the environment behind {_OPTION}, got {name!r}, which is not set")
        try:
            found = shlex.split(environment[name])
        except ValueError as error:
            raise InputError(f"the variable {name} does not hold whole words: {str(error).lower()}") from None
        if any(each.partition("=")[0] == _OPTION for each in found):
            raise InputError(f"expected options of the command in {name}, got {_OPTION} in it; leave it out")
        yield from found
