"""Tests of deployments that install edgecnn: the wheel of this checkout, with install.sh, in a real environment."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from edgecnn.core.errors import InputError
from edgecnn.deploy.package import Package, package_to_install
from tests.cli.commands import run_here
from tests.deploy.on_device import FRAMES, running, status
from tests.deploy.small_device import ADDRESS, SmallDevice


@pytest.fixture
def bare_device(small_device: SmallDevice) -> Iterator[SmallDevice]:
    """Return the device without edgecnn, but with wheels of edgecnn's dependencies."""
    root = small_device.root
    shutil.move(root / "opt/edgecnn", root / "opt/away")
    wheels = root / "opt/host-wheels"
    wheels.mkdir()
    for name in _dependencies():
        _write_wheel(wheels, name)
    (root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /opt/host-wheels\n")
    # The device must use the Python that the packages of this machine are for.
    python = root / "usr/local/bin/python3"
    python.write_text(f'#!/bin/sh\nexec "{sysconfig.get_config_var("BINDIR")}/python3" "$@"\n')
    python.chmod(0o755)
    yield small_device
    python.unlink()
    (root / "etc/pip.conf").unlink()
    shutil.rmtree(wheels)
    shutil.rmtree(root / "opt/edgecnn")
    shutil.move(root / "opt/away", root / "opt/edgecnn")


def test_a_device_gets_the_edgecnn_of_this_checkout_and_keeps_it_if_another_fails(
    bare_device: SmallDevice, model: Path, tmp_path: Path
) -> None:
    arguments = ("--ssh-config", bare_device.ssh_config, "--name", "fresh", "--json", "--options")
    outcome = run_here("deploy", model, ADDRESS, *arguments, FRAMES)
    assert outcome.status == 0, outcome.stderr
    assert json.loads(outcome.stdout)["release"] == running(bare_device, "fresh")
    assert bare_device.run("/opt/edgecnn/bin/edgecnn --version").split() == ["edgecnn", version("edgecnn")]
    installed = bare_device.run("readlink /opt/edgecnn/current")
    outcome = run_here("deploy", model, ADDRESS, *arguments, FRAMES)
    assert outcome.status == 0, outcome.stderr
    assert "is installed already" in outcome.stderr

    with package_to_install(None, None) as package:
        assert package.wheel
        other = Path(shutil.copy(package.wheel, tmp_path))
    with zipfile.ZipFile(other, "a") as wheel:
        wheel.comment = b"another build"
    outcome = run_here("deploy", model, ADDRESS, *arguments, "--source /no/such/video.avi", "--wheel", other)
    assert outcome.status == 1 and "runs again" in outcome.errors[0]
    assert f"edgecnn {version('edgecnn')} is installed: " in outcome.stderr
    assert bare_device.run("readlink /opt/edgecnn/current") == installed
    assert len(status(bare_device, "fresh")["releases"]) == 2


def test_an_edgecnn_that_cannot_be_installed_changes_nothing(
    bare_device: SmallDevice, model: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "edgecnn-9.9.9-py3-none-any.whl"
    wheel.write_bytes(b"no wheel")
    arguments = ("--ssh-config", bare_device.ssh_config, "--name", "broken", "--wheel", wheel)
    outcome = run_here("deploy", model, ADDRESS, *arguments)
    assert outcome.status == 1 and "pip could not install edgecnn 9.9.9" in outcome.errors[0]
    assert not (bare_device.root / "etc/edgecnn/broken.env").exists()
    assert not (bare_device.root / "opt/edgecnn/current").exists()


def test_a_wheel_of_the_checkout_exists_as_long_as_it_is_needed() -> None:
    with package_to_install(None, None) as package:
        assert package.wheel is not None and package.version is None
        with zipfile.ZipFile(package.wheel) as content:
            assert "edgecnn/deploy/device.sh" in content.namelist()
            assert "edgecnn/_devices/raspberry_pi/install.sh" in content.namelist()
    assert not package.wheel.exists()


def test_the_requested_package_is_installed(tmp_path: Path) -> None:
    with package_to_install(None, "0.2.0") as package:
        assert package == Package(version="0.2.0")
    wheel = tmp_path / "edgecnn-0.2.0-py3-none-any.whl"
    with pytest.raises(InputError, match="expected a wheel"), package_to_install(wheel, None):
        pass
    wheel.touch()
    with package_to_install(wheel, None) as package:
        assert package == Package(wheel=wheel)
    with pytest.raises(InputError, match="got both"), package_to_install(wheel, "0.2.0"):
        pass


def _dependencies() -> list[str]:
    """Return the names of the packages that the base install depends on."""
    lines = [line for line in requires("edgecnn") or [] if "extra ==" not in line]
    return [re.split(r"[^\w-]", line)[0] for line in lines]


def _write_wheel(folder: Path, name: str) -> None:
    """Write a wheel of this name that makes the packages of this machine importable."""
    stem = f"{name.replace('-', '_')}-{version(name)}"
    files = {
        f"{name}-of-host.pth": sysconfig.get_path("purelib") + "\n",
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version(name)}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: edgecnn\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{stem}.dist-info/RECORD": f"{record}{stem}.dist-info/RECORD,,\n"}.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
