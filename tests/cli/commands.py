"""Runs `edgecnn` for tests, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import IO, Any

from typer.testing import CliRunner

from edgecnn.cli import app

TIMEOUT_S = 120.0
"""Far beyond what any command here takes; a machine that is busy with something else is no failure."""

_INTERPRETERS_OWN_LINE = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left with and wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def log(self) -> list[str]:
        """The lines on stderr that are edgecnn's own."""
        return [line for line in self.stderr.splitlines() if line != _INTERPRETERS_OWN_LINE]

    @property
    def errors(self) -> list[str]:
        """The error lines."""
        return [line for line in self.log if line.startswith("error: ")]


def run_here(*arguments: object) -> Outcome:
    """Runs a command in this process, where TensorFlow is loaded once for all of them."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def start(*arguments: object, stdout: IO[str] | int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """Starts a command in a process of its own, with pipes to it."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgecnn", *(str(each) for each in arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Waits for a command that was started."""
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    return Outcome(process.returncode, stdout or "", stderr)


def run_apart(*arguments: object, **environment: str) -> Outcome:
    """Runs a command in a process of its own, for what only a process shows."""
    return finish(start(*arguments, **environment))


def refusal(*arguments: object) -> str:
    """The one line, without `error: `, that a command leaves with, having written no data."""
    outcome = run_here(*arguments)
    assert outcome.status == 1, outcome
    assert outcome.stdout == ""
    assert len(outcome.errors) == 1 and outcome.log[-1] == outcome.errors[0], outcome.stderr
    return outcome.errors[0].removeprefix("error: ")


def json_of(*arguments: object) -> Any:
    """The JSON object that a command prints, and nothing else."""
    outcome = run_here(*arguments, "--json")
    assert outcome.status == 0, outcome.stderr
    return json.loads(outcome.stdout)


def json_lines_of(*arguments: object) -> list[Any]:
    """The JSON objects that a command prints, one a line."""
    outcome = run_here(*arguments, "--json")
    assert outcome.status == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]
