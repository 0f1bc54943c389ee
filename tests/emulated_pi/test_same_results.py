"""Tests that an emulated Raspberry Pi computes the same as this machine: to the bit for int8."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecnn.core.images import read_image
from edgecnn.core.precision import Precision
from edgecnn.runtime.inference.classifier import Classifier, load_model
from tests.emulated_pi.boards import BOARDS
from tests.emulated_pi.device import Device

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parent.parent.parent
RANDOM_INPUTS = Path(__file__).with_name("random_inputs.py")


def on_device(device: Device, path: Path) -> str:
    """Copy a file to the home of the device's user; return its path there."""
    device.put(path, path.name)
    return path.name


def floats(hexadecimal: str) -> NDArray[np.float32]:
    return np.frombuffer(bytes.fromhex(hexadecimal), np.float32)


@pytest.fixture(scope="module", params=BOARDS)
def board(request: pytest.FixtureRequest, new_device: Callable[..., Device]) -> Device:
    return new_device(board=request.param, filled=True)


def test_programs_see_the_board(board: Device) -> None:
    name = json.loads((board.folder / "device.json").read_text())["board"]
    assert board.run("uname -m").strip() == "aarch64"
    assert board.run("cat /proc/device-tree/model") == f"{BOARDS[name].model}\0"
    assert f"{BOARDS[name].part:#x}" in board.run("cat /proc/cpuinfo")
    assert board.run("python3 -c 'import platform; print(platform.machine())'").strip() == "aarch64"


def test_int8_gives_the_same_bits_as_here(board: Device, exported: dict[Precision, Path]) -> None:
    model = on_device(board, exported["int8"])
    there = board.run(f"python3 {on_device(board, RANDOM_INPUTS)} {model} 10")
    here = subprocess.check_output([sys.executable, RANDOM_INPUTS, exported["int8"], "10"], text=True)
    assert len(set(here.splitlines())) > 1
    assert there == here


def test_float_gives_nearly_the_same_numbers_as_here(emulated_pi: Device, exported: dict[Precision, Path]) -> None:
    model = on_device(emulated_pi, exported["float32"])
    there = emulated_pi.run(f"python3 {on_device(emulated_pi, RANDOM_INPUTS)} {model} 3")
    here = subprocess.check_output([sys.executable, RANDOM_INPUTS, exported["float32"], "3"], text=True)
    np.testing.assert_allclose(floats(there), floats(here), atol=1e-5)


def test_the_package_classifies_on_the_device_as_here(
    emulated_pi: Device, exported: dict[Precision, Path], digits: Path, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    photo = next((digits / "test" / "7").iterdir())
    model, picture = on_device(emulated_pi, exported["int8"]), on_device(emulated_pi, photo)
    emulated_pi.run(f"rm -rf package; python3 -m zipfile -e {on_device(emulated_pi, wheel)} package")
    answer = emulated_pi.run(f"PYTHONPATH=package python3 -m edgecnn classify {model} {picture} --json")
    here = Classifier(load_model(exported["int8"])).classify(read_image(photo)).top[0]
    there = json.loads(answer)
    assert (there["label"], there["score"]) == (here.label, pytest.approx(here.score, abs=1e-6))
