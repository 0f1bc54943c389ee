"""A bounded queue between the live loop and an output, so that a slow or dead one never blocks inference."""

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
"""How long outputs may take to deliver what is queued when a run ends."""

_GRACE_S = 0.5
"""... and then to end what they have under way."""

FILE_PATIENCE_S = 2.0
"""How long the result of a file waits for room in a full queue, while there is hope."""

_NO_PIXELS: Image = np.empty((0, 0, 3), np.uint8)


class QueuedOutput(Closeable):
    """Owns an output and the thread that feeds it; a sink and an event sink that no live camera waits for.

    When the queue is full its oldest result makes way, and an event only when there is nothing but events. A file can
    wait, and shall lose nothing: its results wait for room, as long as the output gets on with its work. Once it is
    closed, every item is counted as delivered, dropped or failed. A defect of the output, which is any exception but
    `WriteError`, is raised in the loop's next call, or by `close`.
    """

    def __init__(self, output: Output, *, capacity: int, files: Container[int] = ()) -> None:
        """`files` are the run's cameras that can wait, by their number."""
        self._output = output
        self._files = files
        self._buffering = output if isinstance(output, Buffering) else None
        self._capacity = capacity
        # Those below are touched under the condition's lock only.
        self._changed = threading.Condition()
        self._closing = False
        self._drain_until_s = float("inf")
        self._waiting: deque[Result | CameraEvent] = deque()
        self._under_way = False
        self._done_when_given_up = -1
        self._spare: list[Image] = []
        self._status = OutputStatus(output.name, 0, 0, 0, "", failing=False)
        self._ended = False
        self._defect: Exception | None = None
        self._defect_raised = False
        self._thread = threading.Thread(target=self._deliver, name=f"output {output.name}", daemon=True)
        self._thread.start()

    @property
    def status(self) -> OutputStatus:
        with self._changed:
            return self._status

    def __call__(self, result: Result, /) -> None:
        want = self._output.wants(result)
        if want == "nothing":
            return
        if result.camera in self._files:
            self._wait_for_room()
        self._put(self._detached(result, want))

    def on_event(self, event: CameraEvent, /) -> None:
        self._put(event)

    def close(self) -> None:
        """Delivers what is queued, for `DRAIN_S` at most; what is left then is counted as dropped."""
        close_outputs([self])

    def _put(self, item: Result | CameraEvent) -> None:
        with self._changed:
            if self._defect is not None:
                self._defect_raised = True
                raise self._defect
            self._waiting.append(item)
            if len(self._waiting) > self._capacity or self._ended:
                self._drop_one()
            self._changed.notify_all()

    def _wait_for_room(self) -> None:
        with self._changed:
            done = self._status.delivered + self._status.failed
            # Of an output that is stuck this is waited for once, not for every result.
            if done == self._done_when_given_up:
                return
            if not self._changed.wait_for(self._has_room, FILE_PATIENCE_S):
                self._done_when_given_up = done

    def _has_room(self) -> bool:
        return len(self._waiting) < self._capacity or self._ended

    def _drop_one(self) -> None:
        place = next((place for place, item in enumerate(self._waiting) if isinstance(item, Result)), 0)
        self._recycle(self._waiting[place])
        del self._waiting[place]
        self._status = replace(self._status, dropped=self._status.dropped + 1)

    def _detached(self, result: Result, want: Want) -> Result:
        """The result with pixels of its own, as the loop uses the frame's again."""
        if want == "figures":
            return replace(result, frame=replace(result.frame, pixels=_NO_PIXELS))
        own = self._spare_of(result.frame.pixels.shape)
        np.copyto(own, result.frame.pixels)
        return replace(result, frame=replace(result.frame, pixels=own))

    def _spare_of(self, shape: tuple[int, ...]) -> Image:
        with self._changed:
            # Cameras may differ in size.
            for place, spare in enumerate(self._spare):
                if spare.shape == shape:
                    return self._spare.pop(place)
        return np.empty(shape, np.uint8)

    def _recycle(self, item: Result | CameraEvent) -> None:
        if isinstance(item, Result) and item.frame.pixels.size:
            self._spare.append(item.frame.pixels)
            del self._spare[: -self._capacity]

    def _deliver(self) -> None:
        defect: Exception | None = None
        try:
            try:
                while (item := self._next()) is not None:
                    self._try(item)
            finally:
                self._close_output()
        except Exception as error:  # noqa: BLE001 - whatever it is, the loop raises it
            defect = error
        with self._changed:
            self._defect = defect
            self._end(repr(defect))

    def _next(self) -> Result | CameraEvent | None:
        """Waits for the next item; None when there is no more, or no more time for it."""
        flush_after_s = None if self._buffering is None else FLUSH_S
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._waiting or self._closing, flush_after_s):
                    if not self._waiting or time.monotonic() > self._drain_until_s:
                        return None
                    self._under_way = True
                    self._changed.notify_all()
                    return self._waiting.popleft()
            self._flush()

    def _try(self, item: Result | CameraEvent) -> None:
        failure: WriteError | None = None
        try:
            self._output.take(item)
        except WriteError as error:
            failure = error
        with self._changed:
            self._under_way = False
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
            # One that was left behind is done with: what it had under way is counted already.
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
        """Counts what is under way as failed for this `reason`, what waits as dropped, and nothing after that."""
        with self._changed:
            if self._under_way:
                self._count(delivered=0, failed=1, failure=WriteError(reason))
            self._status = replace(self._status, dropped=self._status.dropped + len(self._waiting))
            self._waiting.clear()
            self._ended = True
            self._changed.notify_all()

    def _begin_close(self, drain_until_s: float) -> None:
        with self._changed:
            self._closing, self._drain_until_s = True, drain_until_s
            self._changed.notify_all()

    def _finish_close(self, deadline_s: float) -> Exception | None:
        """Waits until the thread has ended, or leaves it behind; returns a defect that the loop was not told of."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._changed:
            self._end("still under way when the run ended")
            return None if self._defect_raised else self._defect


def close_outputs(outputs: Sequence[QueuedOutput]) -> None:
    """Closes all of them at once, so that several slow ones take no longer than one.

    One that is stuck is left behind: its thread is a daemon and ends with the process. Raises the first defect of an
    output that the loop was not told of.
    """
    drain_until_s = time.monotonic() + DRAIN_S
    for output in outputs:
        output._begin_close(drain_until_s)
    defects = [output._finish_close(drain_until_s + _GRACE_S) for output in outputs]
    for defect in filter(None, defects):
        raise defect
