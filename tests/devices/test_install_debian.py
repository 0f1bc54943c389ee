"""Tests of install.sh with the real wheels in fresh Debian systems, one of them for a Raspberry Pi's processor."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EMULATOR = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
SIZE_LIMIT_MB = 350
"""Maximum size of an installation on a Raspberry Pi."""

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("EDGECNN_TEST_DEVICE") in (None, "", "quick"),
        reason="EDGECNN_TEST_DEVICE is not 1: takes one minute per system, eight for the emulated one",
    ),
    pytest.mark.skipif(
        shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed: apt install mmdebstrap"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot into another system"),
    pytest.mark.timeout(1800),
]


@dataclass(frozen=True)
class Device:
    """A Debian system in a folder, with the files that `edgecnn deploy` would send in /root/pushed."""

    root: Path
    architecture: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": "cortex-a72", "LC_ALL": "C"}
        command = ["chroot", str(self.root), *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    def output_of(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(
    scope="module",
    params=[("bookworm", "amd64", "3.11"), ("trixie", "amd64", "3.13"), ("bookworm", "arm64", "3.11")],
    ids=" ".join,
)
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    release, architecture, python = request.param
    if architecture == "arm64" and not EMULATOR.exists():
        pytest.skip("nothing emulates aarch64: apt install qemu-user-static binfmt-support")
    folder = tmp_path_factory.mktemp("debian")
    root = folder / "root"
    # numpy is installed as on Raspberry Pi OS, where picamera2 needs it.
    options = [f"--arch={architecture}", "--variant=apt", "--include=python3,python3-numpy"]
    subprocess.run(["mmdebstrap", "--quiet", *options, release, root], env=os.environ | {"QEMU_CPU": "max"}, check=True)
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    fill(root / "root" / "pushed", {"amd64": "x86_64", "arm64": "aarch64"}[architecture], python)
    yield Device(root, architecture)
    shutil.rmtree(folder)


def fill(pushed: Path, machine: str, python: str) -> None:
    """Write the script, edgecnn's own wheel, and the wheels that the lock file names."""
    hatchling = ["hatchling", "build", "--target", "wheel", "--directory", str(pushed)]
    subprocess.run([sys.executable, "-m", *hatchling], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    shutil.copy(ROOT / "devices" / "raspberry_pi" / "install.sh", pushed)
    platforms = [f"--platform=manylinux{kind}_{machine}" for kind in ("2014", "_2_17", "_2_27", "_2_28")]
    target = ["--implementation=cp", f"--python-version={python}", *platforms]
    source = ["--requirement", str(ROOT / "locks" / "base.txt"), "--require-hashes", "--no-deps"]
    options = ["--quiet", "--only-binary=:all:", "--dest", str(pushed / "wheels")]
    subprocess.run([sys.executable, "-m", "pip", "download", *target, *source, *options], check=True)


def test_the_installed_edgecnn_runs_a_model(device: Device) -> None:
    numpy = device.output_of("python3", "-c", "import numpy; print(numpy.__version__, numpy.__file__)")
    first = device.run("sh", "/root/pushed/install.sh")
    assert first.returncode == 0, first.stderr
    assert "installing python3-venv libgl1" in first.stderr
    (size_mb,) = re.findall(r"is installed: (\d+) MB in /opt/edgecnn/versions/", first.stderr)
    assert device.architecture != "arm64" or int(size_mb) < SIZE_LIMIT_MB

    record = json.loads(device.output_of("edgecnn", "doctor", "--json"))
    statuses = {finding["check"]: finding["status"] for finding in record["findings"]}
    assert {statuses[check] for check in ("system", "python", "numpy", "interpreter", "opencv")} == {"ok"}
    assert record["problems"] == 0

    second = device.run("sh", "/root/pushed/install.sh")
    assert second.returncode == 0, second.stderr
    assert re.fullmatch(r"edgecnn \S+ is installed already\nnext: edgecnn doctor\n", second.stderr)
    assert device.output_of("python3", "-c", "import numpy; print(numpy.__version__, numpy.__file__)") == numpy
    assert device.output_of("dpkg", "--verify", "python3-numpy") == ""
