"""The Typer application with all commands, and the conversion of errors to messages and exit statuses."""

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

_HELP = "From a folder of labeled photos to a live classifier on a small device, in one .tflite file."


class _Commands(TyperGroup):
    """Group of commands that reports the library's errors in one line on stderr and exits with their status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            # Buffered output would otherwise be written at interpreter exit, where a failure is not reported.
            sys.stdout.flush()
            return result
        except EdgecnnError as error:
            say(str(error) if isinstance(error, Interrupted) else f"error: {_one_line(str(error))}")
            raise typer.Exit(error.exit_status) from None
        except BrokenPipeError:
            # The reader of a pipe has finished, such as `| head`; Typer exits without a message.
            raise
        except OSError as error:
            reason = _one_line(error.strerror or str(error))
            say(f"error: {error.filename}: {reason}" if error.filename else f"error: {reason}")
            raise typer.Exit(EdgecnnError.exit_status) from None
        except ImportError as error:
            say(f"error: {_describe_import_error(error)}")
            raise typer.Exit(EdgecnnError.exit_status) from None
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(Interrupted.exit_status) from None


def _describe_import_error(error: ImportError) -> str:
    """Return a message about a package that cannot be loaded, with the command that installs it."""
    if "cannot open shared object file" in str(error):
        libraries = "libgl1 libglib2.0-0 libsm6 libxcb1 libxext6"
        return f"a system library is missing: {error}; on Debian, Ubuntu and Raspberry Pi OS: apt install {libraries}"
    return f"a Python package cannot be loaded: {error}; reinstall edgecnn with pip install edgecnn"


app = typer.Typer(
    cls=_Commands,
    name="edgecnn",
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"edgecnn {version('edgecnn')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


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
    """Run the `edgecnn` command line."""
    # A label or a path may contain characters that the encoding of the terminal lacks.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


def _one_line(message: str) -> str:
    """Join the lines of a message: the messages of other libraries, which ours quote, may have several."""
    return " ".join(message.split())
