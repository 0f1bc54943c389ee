"""The same work for many items, in threads; it has to be work that lets go of Python's lock, as OpenCV's is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Items begun or waiting for each thread, so that none is idle while an earlier item takes long."""


def map_in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """`map(function, items)`, in the order of the items, at most `threads` of them at once.

    Only a few items are taken ahead of what has been asked for. The first exception is raised when its turn comes;
    what has not begun by then, or when the iteration is broken off, is not done.
    """
    begun: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                begun.append(pool.submit(function, item))
                if len(begun) >= _AHEAD * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
