"""Test of the systemd unit that ships, with a real systemd and a V4L2 camera."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.core.precision import Precision
from tests.emulated_pi.conftest import CACHE
from tests.emulated_pi.device import LOCK
from tests.emulated_pi.full_boot import run_booted
from tests.emulated_pi.layers import packages_layer

pytestmark = pytest.mark.timeout(3600)

ROOT = Path(__file__).parent.parent.parent
PACKAGES = "usr/local/lib/python3.11/dist-packages"

SCRIPT = """\
unit=edgecnn@door
wait_for() { for turn in $(seq 300); do if eval "$1"; then return; fi; sleep 1; done; echo "never: $1"; }
lines() { journalctl --unit $unit --output cat | grep -c '^{'; }
show() { systemctl show --property "$1" --value $unit; }
systemctl start $unit || journalctl --no-pager --unit $unit
wait_for '[ "$(lines)" -ge 3 ]'
echo "state $(show ActiveState)"
echo "user $(stat --format %u "/proc/$(show MainPID)")"
kill -KILL "$(show MainPID)"
seen=$(lines)
wait_for '[ "$(show NRestarts)" = 1 ] && [ "$(lines)" -gt "$seen" ]'
echo "restarts $(show NRestarts)"
systemctl stop $unit
echo "result $(show Result)"
journalctl --unit $unit --output cat | grep '^{'
"""


@pytest.fixture
def files(exported: dict[Precision, Path], tmp_path: Path) -> Path:
    """Write the script's files: the package, its command where the unit expects it, a model, the unit's settings."""
    wheels, root = tmp_path / "wheels", tmp_path / "files"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels], cwd=ROOT, check=True)
    (wheel,) = wheels.iterdir()
    shutil.unpack_archive(wheel, root / PACKAGES, "zip")
    texts = {
        "opt/edgecnn/bin/edgecnn": '#!/bin/sh\nexec /usr/bin/python3 -m edgecnn "$@"\n',
        "etc/edgecnn/door.env": "MODEL=/opt/door.tflite\nOPTIONS=--source 0 --size 640x480\n",
        # Under emulation, the first result takes longer than on the slowest board.
        "etc/systemd/system/edgecnn@.service.d/slow.conf": "[Service]\nTimeoutStartSec=300\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "opt/edgecnn/bin/edgecnn").chmod(0o755)
    shutil.copy(exported["int8"], root / "opt/door.tflite")
    shutil.copy(ROOT / "devices" / "raspberry_pi" / "edgecnn@.service", root / "etc/systemd/system")
    return root


@pytest.mark.usefixtures("new_device")
def test_the_unit_classifies_a_camera_and_survives_its_process(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "boot"
    folder.mkdir()
    output = run_booted(SCRIPT, files, [packages_layer(CACHE, LOCK)], folder, cache=CACHE, timeout_s=1800)
    shutil.rmtree(folder)
    lines = output.replace("\r", "").strip().splitlines()
    facts = dict(line.split(" ", 1) for line in lines if not line.startswith("{"))
    assert int(facts.pop("user")) > 0
    assert facts == {"state": "active", "restarts": "1", "result": "success"}, output
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    assert {answer["label"] for answer in answers} <= {str(digit) for digit in range(10)}
    assert [answer["frame"] for answer in answers].count(0) == 2, "each process starts from frame 0"
