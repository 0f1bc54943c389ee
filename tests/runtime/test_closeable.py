from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

import pytest

from edgecnn.runtime.closeable import Closeable


class Door(Closeable):
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_a_with_block_closes_once_even_after_an_exception() -> None:
    with Door() as door:
        assert door.closed == 0
    assert door.closed == 1
    with pytest.raises(KeyError), Door() as failing:
        raise KeyError
    assert failing.closed == 1


def test_it_is_a_context_manager_that_an_exit_stack_closes() -> None:
    assert issubclass(Door, AbstractContextManager)
    with ExitStack() as owned:
        door = owned.enter_context(Door())
    assert door.closed == 1


def test_close_must_be_implemented() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Closeable()  # type: ignore[abstract]
