"""The code on docs/python.md and in the notebook runs from top to bottom."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "examples" / "photos_to_int8.ipynb"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_blocks_of_the_page_run_in_order(few_digits: Path, tmp_path: Path) -> None:
    shutil.copytree(few_digits, tmp_path / "photos")
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCK.findall(PAGE.read_text())))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "['photos-float32.tflite', 'photos-int8.tflite']" in done.stdout
    assert "frames per second" in done.stdout
    assert "no such model file" in done.stdout


def test_the_page_names_everything_that_is_public() -> None:
    import edgecnn

    text = PAGE.read_text()
    errors = {name for name in dir(edgecnn) if isinstance(getattr(edgecnn, name), type) and name.endswith(ERRORS)}
    assert [name for name in sorted(set(dir(edgecnn)) - errors) if f"`{name}`" not in text] == []


ERRORS = ("Error", "Lost", "Failed", "Undecided", "Name", "Dependency", "Interrupted")


@pytest.mark.timeout(600)
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output
    )
    assert "digits-int8.tflite" in printed
    assert "agree" in printed
    assert list(tmp_path.iterdir()) == []  # It works in a temporary folder of its own.


def test_the_notebook_is_stored_without_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
