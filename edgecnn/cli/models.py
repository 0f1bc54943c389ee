"""The `edgecnn models` command."""

from __future__ import annotations

import typer

from edgecnn.cli.console import print_json_lines, print_table
from edgecnn.cli.options.shared import Json


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(models)


def models(json: Json = False) -> None:
    """List the networks that can be trained."""
    from dataclasses import asdict

    from edgecnn.training.networks.catalog import zoo

    if json:
        print_json_lines(asdict(spec) | {"channels": spec.channels} for spec in zoo())
        return
    rows = [
        (
            spec.name,
            "" if spec.alpha is None else f"{spec.alpha:g}",
            f"{spec.parameters / 1e6:.2f} M",
            f"{spec.macs / 1e6:,.1f} M",
            f"{spec.height}x{spec.width}x{spec.channels}",
            spec.paper,
            spec.weights,
        )
        for spec in zoo()
    ]
    columns = ("model", "alpha", "parameters", "MACs", "input", "paper", "weights")
    print_table("networks", columns, rows, texts=("paper", "weights"))
