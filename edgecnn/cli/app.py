"""The Typer application: which commands there are, and how errors leave it."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edgecnn.cli import (
    benchmark,
    classify,
    data,
    deploy,
    doctor,
    evaluate,
    export,
    models,
    pipeline,
    preview,
    report,
    run,
    runs,
    summary,
    train,
    verify,
)
from edgecnn.cli.console import say
from edgecnn.core.errors import EdgecnnError, Interrupted


class _Commands(TyperGroup):
    """Turns the library's errors into one line on stderr and their exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            # What a buffer still holds would be written after this, where nobody could tell of its failing.
            sys.stdout.flush()
            return result
        except EdgecnnError as error:
            say(str(error) if isinstance(error, Interrupted) else f"error: {_one_line(str(error))}")
            raise typer.Exit(error.exit_status) from None
        except BrokenPipeError:
            # `| head` has seen enough; Typer leaves without a word.
            raise
        except OSError as error:
            reason = _one_line(error.strerror or str(error))
            say(f"error: {error.filename}: {reason}" if error.filename else f"error: {reason}")
            raise typer.Exit(EdgecnnError.exit_status) from None
        except ImportError as error:
            say(f"error: {_missing(error)}")
            raise typer.Exit(EdgecnnError.exit_status) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(Interrupted.exit_status) from None


def _missing(error: ImportError) -> str:
    """What to do about a package that cannot be loaded."""
    if "cannot open shared object file" in str(error):
        libraries = "libgl1 libglib2.0-0 libsm6 libxcb1 libxext6"
        return f"a system library is missing: {error}; on Debian, Ubuntu and Raspberry Pi OS: apt install {libraries}"
    return f"a Python package cannot be loaded: {error}; install edgecnn again, with pip install edgecnn"


app = typer.Typer(
    cls=_Commands,
    name="edgecnn",
    help="From a folder of labeled photos to a live classifier on a small device, in one .tflite file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"edgecnn {version('edgecnn')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """From a folder of labeled photos to a live classifier on a small device, in one .tflite file."""


for _command in (
    preview,
    train,
    runs,
    models,
    summary,
    export,
    evaluate,
    benchmark,
    report,
    classify,
    run,
    verify,
    deploy,
    doctor,
):
    _command.register(app)
app.add_typer(data.app, name="data")
app.add_typer(pipeline.app, name="pipeline")


def main() -> None:
    """The `edgecnn` command."""
    # A label or a path may hold what the terminal's encoding does not.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


def _one_line(message: str) -> str:
    """Other libraries' reasons, which are quoted in ours, may go over several lines."""
    return " ".join(message.split())
