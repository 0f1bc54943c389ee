from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulated_pi.device import Device, make_device
from tests.emulated_pi.layers import PYTHON, default_cache
from tests.emulated_pi.programs import why_not

# Determined before the tests get their own empty cache: Debian is downloaded once and kept.
CACHE = default_cache()

QUICK = ("test_same_results.py",)
"""Tests that EDGECNN_TEST_DEVICE=quick selects: they take two minutes, half of them to unpack a Debian."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests unless they are requested, since a test run must not download a Debian on its own."""
    requested = os.environ.get("EDGECNN_TEST_DEVICE")
    if requested not in (None, "", "quick"):
        return
    not_requested = pytest.mark.skip(reason="EDGECNN_TEST_DEVICE is not 1: make test-device emulates a Raspberry Pi")
    for item in items:
        is_quick = requested == "quick" and item.path.name in QUICK
        if item.path.is_relative_to(Path(__file__).parent) and not is_quick:
            item.add_marker(not_requested)


@pytest.fixture(scope="session")
def new_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Device]]:
    """Return a function that creates a device with the options of `make_device` and starts it until the end."""
    if reason := why_not():
        pytest.skip(f"no device can be emulated here: {reason}")
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"no device can be filled here: needs Python {PYTHON[0]}.{PYTHON[1]} as on the device")
    made: list[Device] = []

    def make(**options: object) -> Device:
        device = make_device(tmp_path_factory.mktemp("device"), CACHE, **options)  # type: ignore[arg-type]
        made.append(device)
        device.start()
        return device

    yield make
    for device in made:
        device.stop()
        shutil.rmtree(device.folder)


@pytest.fixture(scope="session")
def emulated_pi(new_device: Callable[..., Device]) -> Device:
    """Return a running Raspberry Pi 4 with the base install's packages; a test that kills it must start it again."""
    return new_device(filled=True)
