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

# Asked before the tests get an empty cache of their own: Debian is fetched once and kept.
CACHE = default_cache()

QUICK = ("test_same_results.py",)
"""What EDGECNN_TEST_DEVICE=quick asks for: two minutes, of which half go into a Debian."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fetching a Debian is nothing that a test run may do unasked."""
    asked = os.environ.get("EDGECNN_TEST_DEVICE")
    if asked not in (None, "", "quick"):
        return
    unasked = pytest.mark.skip(reason="EDGECNN_TEST_DEVICE is not 1: make test-device emulates a Raspberry Pi")
    for item in items:
        is_quick = asked == "quick" and item.path.name in QUICK
        if item.path.is_relative_to(Path(__file__).parent) and not is_quick:
            item.add_marker(unasked)


@pytest.fixture(scope="session")
def new_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Device]]:
    """Makes a device with the options of `make_device` and switches it on; at the end it is gone."""
    if reason := why_not():
        pytest.skip(f"no device can be emulated here: {reason}")
    if sys.version_info[:2] != PYTHON:
        pytest.skip(f"no device can be filled here: needs Python {PYTHON[0]}.{PYTHON[1]}, as there")
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
    """A Raspberry Pi 4 that is on and can import the base install's packages; who kills it starts it again."""
    return new_device(filled=True)
