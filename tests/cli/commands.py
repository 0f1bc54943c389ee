"""Helpers that run `edgecnn` for tests, in this process or in a separate one."""

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
"""Far longer than any command here takes, so that a busy machine does not make a test fail."""

_INTERPRETER_LINE = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."


@dataclass(frozen=True, slots=True)
class Outcome:
    """Exit status and output of a command."""

    status: int
    stdout: str
    stderr: str

    @property
    def log(self) -> list[str]:
        """Lines on stderr, without those of the interpreter."""
        return [line for line in self.stderr.splitlines() if line != _INTERPRETER_LINE]

    @property
    def errors(self) -> list[str]:
        """Error lines on stderr."""
        return [line for line in self.log if line.startswith("error: ")]


def run_here(*arguments: object) -> Outcome:
    """Run a command in this process, where TensorFlow is loaded once for all commands."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def start(*arguments: object, stdout: IO[str] | int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a separate process with pipes for its output."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgecnn", *(str(argument) for argument in arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a command that was started."""
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    return Outcome(process.returncode, stdout or "", stderr)


def run_apart(*arguments: object, **environment: str) -> Outcome:
    """Run a command in a separate process, for effects that only a process shows."""
    return finish(start(*arguments, **environment))


def refusal(*arguments: object) -> str:
    """Run a command that must fail without output; return its error line without `error: `."""
    outcome = run_here(*arguments)
    assert outcome.status == 1, outcome
    assert outcome.stdout == ""
    assert len(outcome.errors) == 1 and outcome.log[-1] == outcome.errors[0], outcome.stderr
    return outcome.errors[0].removeprefix("error: ")


def json_of(*arguments: object) -> Any:
    """Run a command with `--json` and return the JSON object that it prints."""
    outcome = run_here(*arguments, "--json")
    assert outcome.status == 0, outcome.stderr
    return json.loads(outcome.stdout)


def json_lines_of(*arguments: object) -> list[Any]:
    """Run a command with `--json` and return the JSON objects that it prints, one per line."""
    outcome = run_here(*arguments, "--json")
    assert outcome.status == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]
