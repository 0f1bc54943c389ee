from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
import typer.main
from typer.core import TyperGroup

from edgecnn.cli import app
from tests.cli.commands import run_here

HEAVY = ("tensorflow", "tf_keras", "keras", "cv2", "numpy", "ai_edge_litert", "sklearn", "matplotlib")

_ALL_HELP = """
import sys
from typer.testing import CliRunner
from edgecnn.cli import app

for command in {commands!r}:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0, result.output
print([name for name in {heavy!r} if name in sys.modules])
"""


def commands() -> list[tuple[str, ...]]:
    """Return the arguments that call each command, starting with none for the program itself."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    calls: list[tuple[str, ...]] = [()]
    for name, command in group.commands.items():
        calls.append((name,))
        if isinstance(command, TyperGroup):
            calls += [(name, inner) for inner in command.commands]
    return calls


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    script = _ALL_HELP.format(commands=commands(), heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (result.stdout, result.stderr, result.returncode) == ("[]\n", "", 0)


@pytest.mark.parametrize("command", commands()[1:], ids=" ".join)
def test_every_command_has_a_help_text(command: tuple[str, ...]) -> None:
    outcome = run_here(*command, "--help")
    assert outcome.status == 0
    assert f"Usage: {' '.join(('edgecnn', *command))}" in outcome.stdout
    assert outcome.stderr == ""


def test_the_help_lists_the_commands() -> None:
    listed = run_here("--help").stdout
    expected = ["train", "qat", "export", "evaluate", "benchmark", "classify", "run", "inspect", "models", "report"]
    assert [name for name in [*expected, "pipeline"] if name not in listed] == []


def test_the_version_is_that_of_the_package() -> None:
    assert run_here("--version").stdout == f"edgecnn {version('edgecnn')}\n"


def test_a_misspelled_option_is_a_usage_error_with_a_suggestion() -> None:
    outcome = run_here("train", "photos", "--ouy", "run")
    assert outcome.status == 2
    assert "--out" in outcome.stderr
    assert outcome.stdout == ""
