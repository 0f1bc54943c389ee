from __future__ import annotations

import threading
import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.parallel import map_in_threads


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_are_in_the_order_of_the_items(items: list[int], threads: int) -> None:
    assert list(map_in_threads(lambda item: item * 2, items, threads)) == [item * 2 for item in items]


def test_later_items_do_not_overtake_a_slow_one() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item

    assert list(map_in_threads(work, range(6), 3)) == list(range(6))


def test_two_threads_work_simultaneously() -> None:
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(map_in_threads(lambda _: barrier.wait(), range(4), 2))) == 4


def test_endless_items_are_taken_only_as_results_are_consumed() -> None:
    items = count()
    results = map_in_threads(lambda item: item, items, 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert next(items) < 20


def test_first_error_is_raised_in_order_and_stops_the_work() -> None:
    finished: list[int] = []

    def work(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        finished.append(item)
        return item

    results = map_in_threads(work, range(1000), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    assert len(finished) < 50
