"""Commands, options, files and code in the documents exist and work."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from edgecnn.cli import app
from edgecnn.core.settings.augment import AugmentSettings
from edgecnn.core.settings.recipe import read_recipe
from edgecnn.pipeline.recipes import recipe_files

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PACKAGES = sorted(path.parent.name for path in (ROOT / "edgecnn").glob("*/__init__.py"))
COMMAND = re.compile(r"(?:^\$ |^|`)(edgecnn [^`\n#]*)", re.MULTILINE)


def commands_in(document: Path) -> list[list[str]]:
    """Return the arguments of every `edgecnn ...` line and inline span of a document."""
    text = document.read_text().replace("\\\n", " ")
    matches = (match[1].strip().replace("[", "").replace("]", "") for match in COMMAND.finditer(text))
    return [shlex.split(command)[1:] for command in matches]


ALL_COMMANDS = [(document.name, words) for document in DOCUMENTS for words in commands_in(document) if words]


@pytest.mark.parametrize(("document", "words"), ALL_COMMANDS, ids=lambda value: " ".join(value)[:60])
def test_every_command_in_a_document_exists_with_its_options(document: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands") or not words or words[0].startswith("--"), f"{document}: {words}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known | {"--help"}, f"{document}: {word} is not an option"


def test_the_readme_shows_every_command() -> None:
    shown = {words[0] for words in commands_in(ROOT / "README.md") if words}
    assert set(typer.main.get_command(app).commands) <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_that_a_document_names_exist(document: Path) -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text())
    packages = "docs|benchmarks|locks|pipelines|examples|" + "|".join(PACKAGES)
    named = re.findall(rf"`((?:{packages})/[\w/.*@-]+\.\w+)`", document.read_text())
    for name in [*linked, *named]:
        folders = (document.parent, ROOT, ROOT / "edgecnn")
        assert any(list(folder.glob(name)) for folder in folders), f"{document.name} names {name}, which does not exist"


def test_the_python_example_of_the_readme_runs(exported: dict[str, Path], digits: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    photo = next((digits / "test" / "7").glob("*.png"))
    example = example.replace("clothes-int8.tflite", str(exported["int8"])).replace("photo.jpg", str(photo))
    script = tmp_path / "example.py"
    script.write_text(example)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert "Score(label='" in done.stdout


def test_the_two_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert target in targets


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    assert re.search(r"^make test\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


@pytest.mark.parametrize("file", recipe_files(), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_after_its_file(file: Path) -> None:
    assert read_recipe(file).name == file.stem


def test_the_packages_of_the_architecture_are_those_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = set(re.findall(r"^  (\w+)/ ", text, re.MULTILINE))
    assert listed == set(PACKAGES)


def test_the_table_of_changes_has_every_key_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", (ROOT / "docs" / "augmentation.md").read_text(), re.MULTILINE)
    assert {key: json.loads(value) for key, value in rows} == AugmentSettings().model_dump()
