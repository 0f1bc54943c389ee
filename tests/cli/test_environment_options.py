"""Options that a command takes from a variable of the environment."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.cli.environment_options import expanded
from edgecnn.core.errors import InputError
from tests.cli.commands import refusal, run_here

FRAMES = "--source pattern:64x64@30 --max-frames 2"


@given(st.lists(st.text(min_size=1).filter(lambda word: not word.startswith("--options-from"))))
def test_the_words_of_a_variable_stand_where_its_name_stood(words: list[str]) -> None:
    environment = {"OPTIONS": shlex.join(words)}
    for told in (["--options-from", "OPTIONS"], ["--options-from=OPTIONS"]):
        assert list(expanded(["a", *told, "b"], environment)) == ["a", *words, "b"]


def test_a_run_takes_options_from_the_environment(color_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS", f"{FRAMES} --top-k 1")
    outcome = run_here("run", color_model, "--json", "--options-from", "OPTIONS")
    assert outcome.status == 0, outcome.stderr
    results = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [len(result["top"]) for result in results] == [1, 1]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "expected a variable of the environment behind --options-from, got 'OPTIONS', which is not set"),
        ("--source 'hidden", "the variable OPTIONS does not hold whole words: no closing quotation"),
        ("--options-from hidden", "expected options of the command in OPTIONS, got --options-from in it; leave it out"),
    ],
)
def test_a_variable_that_does_not_do_is_told_and_not_repeated(
    value: str | None, line: str, color_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTIONS", raising=False)
    if value is not None:
        monkeypatch.setenv("OPTIONS", value)
    assert refusal("run", color_model, "--options-from", "OPTIONS") == line


def test_a_variable_without_a_name_is_asked_for() -> None:
    with pytest.raises(InputError, match="got ''"):
        list(expanded(["--options-from"], {}))
