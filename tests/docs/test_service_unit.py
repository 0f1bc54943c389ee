"""The systemd unit starts a command that exists, with options that it accepts."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from edgecnn.cli import app

UNIT = Path(__file__).parent.parent.parent / "devices" / "raspberry_pi" / "edgecnn@.service"


def settings_of(unit: str) -> dict[str, str]:
    """Return the settings of a unit file by name; the last one wins if a name is repeated."""
    lines = [line for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def options_of(command: str) -> set[str]:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


def test_the_unit_runs_a_command_with_options_that_exist() -> None:
    program, command, *arguments = shlex.split(settings_of(UNIT.read_text())["ExecStart"])
    assert Path(program).name == "edgecnn"
    assert command == "run"
    assert {word for word in arguments if word.startswith("--")} <= options_of("run")


def test_the_example_in_the_unit_uses_options_that_exist() -> None:
    (example,) = (line for line in UNIT.read_text().splitlines() if line.startswith("#   OPTIONS="))
    assert {word for word in shlex.split(example[1:]) if word.startswith("--")} <= options_of("run")


def test_the_unit_reads_its_options_from_where_ps_does_not_show_them() -> None:
    settings = settings_of(UNIT.read_text())
    assert "$OPTIONS" not in settings["ExecStart"]
    assert settings["ExecStart"].endswith(" --options-from OPTIONS")
    assert settings["Environment"] == "OPTIONS="


def test_the_service_has_no_privileges_and_a_limit() -> None:
    settings = settings_of(UNIT.read_text())
    assert settings["DynamicUser"] == "yes"
    assert settings["SupplementaryGroups"] == "video"
    assert "MemoryMax" in settings
    assert settings["Restart"] == "on-failure"
