"""The spelling `licence` of earlier versions, which is still accepted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data.dataset_note import NOTE_FILE, read_note
from tests.cli.commands import run_here


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)
    np.savez(path, x_train=pictures, y_train=[0, 1, 0, 1])
    return path


@pytest.mark.parametrize("option", ["--license", "--licence"])
def test_the_import_accepts_both_spellings(option: str, npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_here("data", "import", npz, "--out", out, option, "CC0").status == 0
    note = read_note(out)
    assert note is not None and note.license == "CC0"
    assert json.loads((out / NOTE_FILE).read_text())["license"] == "CC0"


def test_the_help_shows_the_american_spelling_only() -> None:
    shown = run_here("data", "import", "--help").stdout
    assert "--license" in shown and "--licence" not in shown


def test_a_note_with_the_earlier_key_is_read(npz: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_here("data", "import", npz, "--out", out, "--license", "CC0").status == 0
    note = json.loads((out / NOTE_FILE).read_text())
    note["licence"] = note.pop("license")
    (out / NOTE_FILE).write_text(json.dumps(note))
    read = read_note(out)
    assert read is not None and read.license == "CC0"
