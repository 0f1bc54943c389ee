"""Bounded queue between the live loop and an output, so that a slow or failed output never blocks inference."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np

from edgecnn.core.errors import WriteError
from edgecnn.core.preprocess import Image
from edgecnn.runtime.closeable import Closeable
from edgecnn.runtime.outputs.output import FLUSH_S, Buffering, ItemsLost, Output, OutputStatus, Want
from edgecnn.runtime.sinks import CameraEvent, Result

DRAIN_S = 0.5
"""Longest time that outputs may take to deliver the queued items when a run ends."""

_GRACE_S = 0.5
"""Additional time to finish the item in progress."""

FILE_PATIENCE_S = 2.0
"""Longest time that a result of a file waits for room in a full queue."""

_NO_PIXELS: Image = np.empty((0, 0, 3), np.uint8)


class QueuedOutput(Closeable):
    """Owner of an output and of the thread that feeds it; a sink and an event sink that never blocks a live camera.

    When the queue is full, its oldest result is dropped, or its oldest event if it contains only events. A file can
    wait and must not lose anything: its results wait for room as long as the output makes progress. After `close`,
    every item is counted as delivered, dropped or failed. A defect of the output, which is any exception other than
    `WriteError`, is raised in the next call by the loop, or by `close`.
    """

    def __init__(self, output: Output, *, capacity: int, files: Container[int] = ()) -> None:
        """Start the thread; `files` are the indices of the sources that can wait."""
        self._output = output
        self._files = files
        self._buffering = output if isinstance(output, Buffering) else None
        self._capacity = capacity
        # The attributes below are accessed only while holding the lock of the condition.
        self._changed = threading.Condition()
        self._closing = False
        self._drain_until_s = float("inf")
        self._queue: deque[Result | CameraEvent] = deque()
        self._in_progress = False
        self._done_at_timeout = -1
        self._spares: list[Image] = []
        self._status = OutputStatus(output.name, 0, 0, 0, "", failing=False)
        self._ended = False
        self._defect: Exception | None = None
        self._defect_raised = False
        self._thread = threading.Thread(target=self._deliver, name=f"output {output.name}", daemon=True)
        self._thread.start()

    @property
    def status(self) -> OutputStatus:
        """The current status of the output."""
        with self._changed:
            return self._status

    def __call__(self, result: Result, /) -> None:
        """Queue a result if the output needs it, waiting for room if it comes from a file."""
        want = self._output.wants(result)
        if want == "nothing":
            return
        if result.camera in self._files:
            self._wait_for_room()
        self._put(self._detached(result, want))

    def on_event(self, event: CameraEvent, /) -> None:
        """Queue an event."""
        self._put(event)

    def close(self) -> None:
        """Deliver the queued items for up to `DRAIN_S`; the rest is counted as dropped."""
        close_outputs([self])

    def _put(self, item: Result | CameraEvent) -> None:
        with self._changed:
            if self._defect is not None:
                self._defect_raised = True
                raise self._defect
            self._queue.append(item)
            if len(self._queue) > self._capacity or self._ended:
                self._drop_one()
            self._changed.notify_all()

    def _wait_for_room(self) -> None:
        with self._changed:
            done = self._status.delivered + self._status.failed
            # Wait for a stuck output only once, not for every result.
            if done == self._done_at_timeout:
                return
            if not self._changed.wait_for(self._has_room, FILE_PATIENCE_S):
                self._done_at_timeout = done

    def _has_room(self) -> bool:
        return len(self._queue) < self._capacity or self._ended

    def _drop_one(self) -> None:
        index = next((index for index, item in enumerate(self._queue) if isinstance(item, Result)), 0)
        self._recycle(self._queue[index])
        del self._queue[index]
        self._status = replace(self._status, dropped=self._status.dropped + 1)

    def _detached(self, result: Result, want: Want) -> Result:
        """Return the result with a copy of the pixels, because the loop reuses the array of the frame."""
        if want == "figures":
            return replace(result, frame=replace(result.frame, pixels=_NO_PIXELS))
        copy = self._array_of(result.frame.pixels.shape)
        np.copyto(copy, result.frame.pixels)
        return replace(result, frame=replace(result.frame, pixels=copy))

    def _array_of(self, shape: tuple[int, ...]) -> Image:
        with self._changed:
            # Cameras may differ in size.
            for index, spare in enumerate(self._spares):
                if spare.shape == shape:
                    return self._spares.pop(index)
        return np.empty(shape, np.uint8)

    def _recycle(self, item: Result | CameraEvent) -> None:
        if isinstance(item, Result) and item.frame.pixels.size:
            self._spares.append(item.frame.pixels)
            del self._spares[: -self._capacity]

    def _deliver(self) -> None:
        defect: Exception | None = None
        try:
            try:
                while (item := self._next()) is not None:
                    self._try(item)
            finally:
                self._close_output()
        except Exception as error:  # noqa: BLE001 - any defect is raised in the loop
            defect = error
        with self._changed:
            self._defect = defect
            self._end(repr(defect))

    def _next(self) -> Result | CameraEvent | None:
        """Wait for the next item; return None if there are no more, or no time is left."""
        flush_after_s = None if self._buffering is None else FLUSH_S
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._queue or self._closing, flush_after_s):
                    if not self._queue or time.monotonic() > self._drain_until_s:
                        return None
                    self._in_progress = True
                    self._changed.notify_all()
                    return self._queue.popleft()
            self._flush()

    def _try(self, item: Result | CameraEvent) -> None:
        failure: WriteError | None = None
        try:
            self._output.take(item)
        except WriteError as error:
            failure = error
        with self._changed:
            self._in_progress = False
            self._recycle(item)
            self._count(delivered=int(failure is None), failed=int(failure is not None), failure=failure)

    def _flush(self) -> None:
        if self._buffering is not None:
            try:
                self._buffering.flush()
            except WriteError as failure:
                self._count(delivered=0, failed=0, failure=failure)

    def _close_output(self) -> None:
        try:
            self._output.close()
        except WriteError as failure:
            lost = failure.items if isinstance(failure, ItemsLost) else 0
            self._count(delivered=-lost, failed=lost, failure=failure)

    def _count(self, *, delivered: int, failed: int, failure: WriteError | None) -> None:
        with self._changed:
            # An output that was abandoned is not counted any more: its item in progress already is.
            if not self._ended:
                self._status = replace(
                    self._status,
                    delivered=self._status.delivered + delivered,
                    failed=self._status.failed + failed,
                    last_error=self._status.last_error if failure is None else self._reason(failure),
                    failing=failure is not None,
                )

    def _reason(self, failure: WriteError) -> str:
        return str(failure).removeprefix(f"{self._status.name}: ")

    def _end(self, reason: str) -> None:
        """Count the item in progress as failed for this reason and the queued ones as dropped; stop counting."""
        with self._changed:
            if self._in_progress:
                self._count(delivered=0, failed=1, failure=WriteError(reason))
            self._status = replace(self._status, dropped=self._status.dropped + len(self._queue))
            self._queue.clear()
            self._ended = True
            self._changed.notify_all()

    def _begin_close(self, drain_until_s: float) -> None:
        with self._changed:
            self._closing, self._drain_until_s = True, drain_until_s
            self._changed.notify_all()

    def _finish_close(self, deadline_s: float) -> Exception | None:
        """Wait until the thread has ended or abandon it; return a defect that was not raised in the loop."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._changed:
            self._end("still in progress when the run ended")
            return None if self._defect_raised else self._defect


def close_outputs(outputs: Sequence[QueuedOutput]) -> None:
    """Close all outputs at once, so that several slow ones take no longer than one.

    A stuck output is abandoned: its thread is a daemon and ends with the process. The first defect of an output that
    was not yet raised in the loop is raised here.

    Args:
        outputs: Outputs of a run.
    """
    drain_until_s = time.monotonic() + DRAIN_S
    for output in outputs:
        output._begin_close(drain_until_s)
    defects = [output._finish_close(drain_until_s + _GRACE_S) for output in outputs]
    for defect in filter(None, defects):
        raise defect
