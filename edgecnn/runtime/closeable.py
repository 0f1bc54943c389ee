"""The base class of everything that owns a resource and must be closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


# It is a `contextlib.AbstractContextManager` by its methods, which `issubclass` confirms, but does not inherit from it:
# the type argument of that class cannot be `Self`, so `ExitStack.enter_context` would return a mere `Closeable`.
class Closeable(ABC):
    """A context manager that calls its own `close` when the `with` block ends, with or without an exception."""

    @abstractmethod
    def close(self) -> None:
        """Release what the object owns."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
