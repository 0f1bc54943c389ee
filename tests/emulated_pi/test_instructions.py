"""Test that benchmarks/instructions.py counts, and gets the same counts again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.core.precision import Precision
from tests.emulated_pi.conftest import CACHE

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.usefixtures("new_device")
def test_instructions_are_counted_by_stage_and_the_same_each_time(
    exported: dict[Precision, Path], tmp_path: Path
) -> None:
    out = tmp_path / "instructions.json"
    models = ("--model", str(exported["int8"]), "--float-model", str(exported["float32"]))
    subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "instructions.py", *models, "--frames", "3", "--out", out],
        env=os.environ | {"EDGECNN_CACHE": str(CACHE), "PYTHONPATH": str(ROOT)},
        check=True,
    )
    record = json.loads(out.read_text())
    counts = {(count["cpu"], count["precision"]): count for count in record["counts"]}
    assert record["environment"]["machine"] == "aarch64"
    assert set(counts) == {(cpu, model) for cpu in ("cortex-a72", "cortex-a76") for model in ("int8", "float32")}
    for count in counts.values():
        stages = count["instructions"]
        parts = stages["preprocess"] + stages["invoke"] + stages["postprocess"]
        assert min(stages.values()) > 0
        assert parts <= stages["whole"] <= 1.01 * parts
        assert count["difference_between_runs"] < 0.001
    # The newer processor multiplies and accumulates bytes in one instruction.
    older, newer = (counts[cpu, "int8"]["instructions"]["invoke"] for cpu in ("cortex-a72", "cortex-a76"))
    assert newer < older
