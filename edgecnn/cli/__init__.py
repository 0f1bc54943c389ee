"""The command line: parse, call one library function, print. Heavy imports stay inside the commands."""

from edgecnn.cli.app import app, main

__all__ = ["app", "main"]
