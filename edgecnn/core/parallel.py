"""A parallel map in threads, for work that releases Python's global interpreter lock, as OpenCV's does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Items submitted per thread, so that no thread is idle while an earlier item takes long."""


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """Apply a function to items in several threads, like `map(function, items)`.

    Only a few items are taken ahead of the results that were asked for. An exception is raised when the turn of its
    item comes. Items that have not started by then, or when the caller stops the iteration, are canceled.

    Args:
        function: Function to apply; it must be safe to call from several threads.
        items: Arguments of the function.
        threads: Maximum number of simultaneous calls.

    Yields:
        The results, in the order of the items.
    """
    submitted: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                submitted.append(pool.submit(function, item))
                if len(submitted) >= _AHEAD * threads:
                    yield submitted.popleft().result()
            while submitted:
                yield submitted.popleft().result()
        finally:
            for future in submitted:
                future.cancel()
