from __future__ import annotations

import threading
import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.parallel import map_in_threads


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_come_in_the_order_of_the_items(items: list[int], threads: int) -> None:
    assert list(map_in_threads(lambda item: item * 2, items, threads)) == [item * 2 for item in items]


def test_a_slow_item_does_not_let_later_ones_pass() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item

    assert list(map_in_threads(work, range(6), 3)) == list(range(6))


def test_so_many_threads_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(map_in_threads(lambda _: both.wait(), range(4), 2))) == 4


def test_items_without_end_are_taken_as_results_are_asked_for() -> None:
    items = count()
    results = map_in_threads(lambda item: item, items, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert next(items) < 20


def test_the_first_error_is_raised_in_its_turn_and_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        done.append(item)
        return item

    results = map_in_threads(work, range(1000), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    assert len(done) < 50
