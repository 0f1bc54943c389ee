from __future__ import annotations

import pytest

from edgecnn.core import errors
from edgecnn.core.errors import EdgecnnError, UnknownName


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("mobilnet_v2", "mobilenet_v2"), ("Lite0", "lite0"), ("LITE1", "lite1"), ("mob", "mobilenet_v2"), ("zebra", None)],
)
def test_unknown_name_suggests_the_nearest_known_one(name: str, nearest: str | None) -> None:
    error = UnknownName("backbone", name, ["mobilenet_v2", "lite0", "lite1"])
    hint = f"did you mean {nearest!r}?" if nearest else "known: mobilenet_v2, lite0, lite1"
    assert str(error) == f"unknown backbone {name!r}: {hint}"
    assert (error.name, error.nearest, error.known) == (name, nearest, ("mobilenet_v2", "lite0", "lite1"))


def test_docstring_lists_every_exception() -> None:
    assert errors.__doc__ is not None
    listed = [line.split()[0] for line in errors.__doc__.splitlines() if line.startswith("    ")]
    defined = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert sorted(listed) == sorted(defined)


def test_exit_statuses_of_errors() -> None:
    special = {"Interrupted": 130, "GateFailed": 3, "GateUndecided": 4}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgecnnError)]
    assert {kind.__name__: kind.exit_status for kind in kinds} == {
        kind.__name__: special.get(kind.__name__, 1) for kind in kinds
    }
