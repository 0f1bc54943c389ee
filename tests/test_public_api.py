"""`import edgecnn` offers what the command line offers, loads it lazily, and keeps offering it."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import edgecnn
from edgecnn.core import errors


def test_every_public_name_is_there_and_documented() -> None:
    for name in edgecnn.__all__:
        value = getattr(edgecnn, name)
        assert value is not None
        assert name == "__version__" or value.__doc__, name


def test_dir_lists_the_public_names() -> None:
    assert dir(edgecnn) == sorted(edgecnn.__all__)
    assert set(edgecnn.__all__) == {*edgecnn._HOMES, "__version__"}


def test_all_errors_are_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.EdgecnnError)
    }
    assert defined <= set(edgecnn.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        edgecnn.trian  # noqa: B018


def test_public_functions_remain_functions_after_every_submodule_is_imported() -> None:
    for module in pkgutil.walk_packages(edgecnn.__path__, "edgecnn."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in edgecnn.__all__:
        value = getattr(edgecnn, name)
        assert isinstance(value, str) if name == "__version__" else callable(value), f"{name} is {value!r}"


def test_the_import_loads_nothing_heavy() -> None:
    heavy = ("numpy", "cv2", "pydantic", "tensorflow")
    code = f"import sys, edgecnn; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "name", ["evaluate", "benchmark", "check_data", "load_run", "Classifier", "classify", "open_source"]
)
def test_the_device_side_needs_no_tensorflow(name: str) -> None:
    code = f"import sys, edgecnn; edgecnn.{name}; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
