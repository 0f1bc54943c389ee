"""Options that a command reads from an environment variable."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.cli.options.environment import expand_arguments
from edgecnn.core.errors import InputError
from tests.cli.commands import refusal, run_here

FRAMES = "--source pattern:64x64@30 --max-frames 2"


@given(st.lists(st.text(min_size=1).filter(lambda word: not word.startswith("--options-from"))))
def test_the_content_of_a_variable_replaces_the_option(arguments: list[str]) -> None:
    environment = {"OPTIONS": shlex.join(arguments)}
    for option in (["--options-from", "OPTIONS"], ["--options-from=OPTIONS"]):
        assert list(expand_arguments(["a", *option, "b"], environment)) == ["a", *arguments, "b"]


def test_a_run_reads_options_from_the_environment(color_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS", f"{FRAMES} --top-k 1")
    outcome = run_here("run", color_model, "--json", "--options-from", "OPTIONS")
    assert outcome.status == 0, outcome.stderr
    results = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [len(result["top"]) for result in results] == [1, 1]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "--options-from needs the name of an environment variable that is set, got 'OPTIONS'"),
        ("--source 'hidden", "the environment variable OPTIONS cannot be parsed: no closing quotation"),
        ("--options-from hidden", "the environment variable OPTIONS must not contain --options-from; remove it there"),
    ],
)
def test_an_unusable_variable_is_reported_without_its_content(
    value: str | None, line: str, color_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTIONS", raising=False)
    if value is not None:
        monkeypatch.setenv("OPTIONS", value)
    assert refusal("run", color_model, "--options-from", "OPTIONS") == line


def test_a_missing_name_of_a_variable_is_reported() -> None:
    with pytest.raises(InputError, match="got ''"):
        list(expand_arguments(["--options-from"], {}))
