from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.deploy.address import parse_address
from edgecnn.deploy.ssh import Connection
from tests.colors import write_color_model
from tests.deploy.on_device import Replace
from tests.deploy.small_device import ADDRESS, PROGRAMS, SmallDevice, make_small_device
from tests.emulated_pi.programs import why_not


@pytest.fixture(scope="session")
def small_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDevice]:
    """Return a running device. Each test that deploys uses its own service name."""
    if reason := why_not():
        pytest.skip(f"no device can run here: {reason}")
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        pytest.skip(f"no device can run here: missing {', '.join(missing)}")
    device = make_small_device(tmp_path_factory.mktemp("device"))
    device.start()
    yield device
    device.stop()


@pytest.fixture
def connection(small_device: SmallDevice) -> Iterator[Connection]:
    with Connection(parse_address(ADDRESS), small_device.ssh_config) as connection:
        yield connection


@pytest.fixture
def other_edgecnn(small_device: SmallDevice) -> Iterator[Replace]:
    """Return a function that replaces the device's edgecnn by a script, which finds the original as `$0.before`."""
    command = small_device.root / "opt/edgecnn/bin/edgecnn"
    before = command.rename(command.with_name("edgecnn.before"))

    def replace(script: str) -> None:
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    yield replace
    before.replace(command)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_color_model(tmp_path_factory.mktemp("models") / "colors.tflite")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that has other names for the colors."""
    return write_color_model(tmp_path_factory.mktemp("models") / "farben.tflite", ("rot", "gruen", "blau"))
