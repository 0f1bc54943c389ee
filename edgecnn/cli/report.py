"""The `edgecnn report` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(report)


def report(
    run: Annotated[Path, typer.Argument(help="Run folder of edgecnn train.")],
    *,
    out: Annotated[Path | None, typer.Option(help="HTML file to write; RUN/report.html if not given.")] = None,
) -> None:
    """Write an HTML report of a run: training, models, accuracy and latency."""
    from edgecnn.report.report import write_report

    print(write_report(run, out))
