"""The queue between the loop and an output: delivered items, dropped items, and shutdown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecnn.core.errors import WriteError
from edgecnn.core.frame import Frame, Prediction, Score, StageLatency
from edgecnn.core.preprocess import Image
from edgecnn.runtime.decision import Event
from edgecnn.runtime.outputs import queued as module
from edgecnn.runtime.outputs.output import ItemsLost, Want
from edgecnn.runtime.outputs.queued import QueuedOutput, close_outputs
from edgecnn.runtime.sinks import CameraEvent, Result

DEADLINE_S = 60.0

Item = Result | CameraEvent


@pytest.fixture(autouse=True, scope="module")
def _patient() -> Iterator[None]:
    """Deliver all queued items even on a busy machine, unless a test sets a shorter time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAIN_S", DEADLINE_S)
        yield


def a_result(number: int, *, side: int = 4, camera: int = 0) -> Result:
    """Return a result whose picture has the color `number`."""
    frame = Frame(np.full((side, side, 3), number % 256, np.uint8), "camera 0", number, 0.0, number, 0.0)
    return Result(frame, Prediction((Score("cat", 0, 1.0),), StageLatency(0.0, 0.0, 0.0)), 0.0, 0, camera=camera)


def an_event(number: int) -> CameraEvent:
    return CameraEvent("camera 0", float(number), Event("entered", Score("cat", 0, 1.0), number, None))


def number_of(item: Item) -> int:
    return item.frame.number if isinstance(item, Result) else int(item.at)


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.002)


class Recorder:
    """An output that delivers immediately and keeps copies of the items."""

    def __init__(self, want: Want = "figures") -> None:
        self.name = "recorder"
        self.want = want
        self.taken: list[Item] = []
        self.arrays: set[int] = set()
        self.closed = 0

    def wants(self, result: Result) -> Want:
        return self.want

    def take(self, item: Item) -> None:
        if isinstance(item, Result):
            self.arrays.add(id(item.frame.pixels))
            item = replace(item, frame=replace(item.frame, pixels=item.frame.pixels.copy()))
        self.taken.append(item)

    def close(self) -> None:
        self.closed += 1

    @property
    def numbers(self) -> list[int]:
        return [number_of(item) for item in self.taken]


class Gated(Recorder):
    """An output that delivers one item per `permits.release()`; items with a number in `refused` fail."""

    def __init__(self, want: Want = "figures", *, refused: frozenset[int] = frozenset()) -> None:
        super().__init__(want)
        self.refused = refused
        self.entered = 0
        self.permits = threading.Semaphore(0)

    def take(self, item: Item) -> None:
        self.entered += 1
        assert self.permits.acquire(timeout=DEADLINE_S)
        if number_of(item) in self.refused:
            raise WriteError(f"no room for {number_of(item)}")
        super().take(item)

    def unblock(self) -> None:
        self.permits.release(2000)


@contextmanager
def blocked(output: Gated, *, capacity: int) -> Iterator[QueuedOutput]:
    """A queue whose output is delivering item 0, with nothing else queued."""
    with QueuedOutput(output, capacity=capacity) as queued:
        try:
            queued(a_result(0))
            wait_until(lambda: output.entered == 1, "the first item is in progress")
            yield queued
        finally:
            output.unblock()


def settled(queued: QueuedOutput, items: int) -> None:
    wait_until(
        lambda: queued.status.delivered + queued.status.dropped + queued.status.failed == items,
        f"{items} items are accounted for",
    )


def test_items_are_delivered_in_order() -> None:
    output = Recorder()
    with QueuedOutput(output, capacity=1000) as queued:
        for number in range(200):
            if number % 3:
                queued(a_result(number))
            else:
                queued.on_event(an_event(number))
        settled(queued, 200)
    assert output.numbers == list(range(200))
    assert (queued.status.delivered, queued.status.dropped, queued.status.failed) == (200, 0, 0)


def test_a_stuck_output_blocks_nobody_and_loses_the_oldest_results() -> None:
    output = Gated()
    with blocked(output, capacity=5) as queued:
        # The output delivers nothing meanwhile: the test is that these calls return.
        for number in range(1, 1001):
            queued(a_result(number))
        assert output.taken == []
        assert queued.status.dropped == 995
        output.unblock()
        settled(queued, 1001)
    assert output.numbers == [0, 996, 997, 998, 999, 1000]


def test_results_are_dropped_before_events_and_old_events_before_new_ones() -> None:
    output = Gated()
    with blocked(output, capacity=3) as queued:
        for number in (1, 2, 3):
            queued(a_result(number))
        for number in (4, 5, 6):
            queued.on_event(an_event(number))
        queued(a_result(7))
        queued.on_event(an_event(8))
        output.unblock()
        settled(queued, 9)
    assert output.numbers == [0, 5, 6, 8]
    assert queued.status.dropped == 5


def test_figures_are_delivered_without_pixels() -> None:
    output = Recorder("figures")
    with QueuedOutput(output, capacity=10) as queued:
        queued(a_result(1))
    (taken,) = output.taken
    assert isinstance(taken, Result)
    assert taken.frame.pixels.size == 0
    assert taken.frame.number == 1 and taken.prediction.best.label == "cat"


def test_results_that_are_not_wanted_are_neither_delivered_nor_counted() -> None:
    output = Recorder("nothing")
    with QueuedOutput(output, capacity=10) as queued:
        queued(a_result(1))
        queued.on_event(an_event(2))
        settled(queued, 1)
    assert output.numbers == [2]


def test_pictures_are_copied_because_the_loop_reuses_its_array() -> None:
    output = Gated("picture")
    with blocked(output, capacity=10) as queued:
        pixels = np.empty((4, 4, 3), np.uint8)
        for number in range(1, 6):
            pixels[:] = number
            queued(replace(a_result(number), frame=replace(a_result(number).frame, pixels=pixels)))
        pixels[:] = 255
        output.unblock()
        settled(queued, 6)
    for item in output.taken:
        assert isinstance(item, Result)
        assert (item.frame.pixels == item.frame.number).all()


def test_a_view_into_a_larger_picture_is_copied_correctly() -> None:
    output = Recorder("picture")
    whole = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    with QueuedOutput(output, capacity=10) as queued:
        result = a_result(1)
        queued(replace(result, frame=replace(result.frame, pixels=whole[2:6:2, ::-1])))
    (taken,) = output.taken
    assert isinstance(taken, Result)
    assert np.array_equal(taken.frame.pixels, whole[2:6:2, ::-1])


@pytest.mark.parametrize("sides", [(4,), (4, 6)], ids=["one size", "cameras of two sizes"])
def test_arrays_are_reused(sides: tuple[int, ...]) -> None:
    arrays: list[Image] = []

    class Watched(QueuedOutput):
        """Queue that records every array put into it."""

        def _put(self, item: Item) -> None:
            assert isinstance(item, Result)
            if all(item.frame.pixels is not array for array in arrays):
                arrays.append(item.frame.pixels)
            super()._put(item)

    output = Gated("picture")
    with Watched(output, capacity=4) as queued:
        for number in range(400):
            queued(a_result(number, side=sides[number % len(sides)]))
            if number % 2:
                output.permits.release()
        with queued._changed:
            assert len(queued._spares) <= 4
        output.unblock()
        settled(queued, 400)
    # At most four arrays of each size are queued, one is being delivered and one is being filled. When the queue runs
    # empty, spare arrays beyond its capacity are dropped, so there may be a few more in the course of 400 frames.
    assert len(arrays) <= 12 * len(sides)


def test_arrays_of_former_sizes_are_released() -> None:
    output = Recorder("picture")
    with QueuedOutput(output, capacity=4) as queued:
        for number in range(50):
            queued(a_result(number, side=4 + number))
            settled(queued, number + 1)
            with queued._changed:
                assert len(queued._spares) <= 4


def test_a_failed_item_is_counted_and_the_next_one_attempted() -> None:
    output = Gated(refused=frozenset({1, 2}))
    output.unblock()
    with QueuedOutput(output, capacity=10) as queued:
        queued(a_result(0))
        queued(a_result(1))
        queued(a_result(2))
        settled(queued, 3)
        failing = queued.status
        queued(a_result(3))
        settled(queued, 4)
    assert output.numbers == [0, 3]
    assert (failing.delivered, failing.failed, failing.failing) == (1, 2, True)
    assert failing.last_error == "no room for 2"
    assert (queued.status.delivered, queued.status.failed, queued.status.failing) == (2, 2, False)
    assert queued.status.last_error == "no room for 2"


class Defective(Recorder):
    """An output with a programming error."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.released = threading.Event()

    def take(self, item: Item) -> None:
        assert self.released.wait(DEADLINE_S)
        if self.where == "take":
            raise ZeroDivisionError("a defect")
        super().take(item)

    def close(self) -> None:
        super().close()
        if self.where == "close":
            raise ZeroDivisionError("a defect")


def test_a_defect_is_raised_in_every_following_call_of_the_loop() -> None:
    output = Defective("take")
    # Closing does not raise it again.
    with QueuedOutput(output, capacity=10) as queued:
        for number in range(4):
            queued(a_result(number))
        output.released.set()
        settled(queued, 4)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="a defect"):
                queued(a_result(4))
            with pytest.raises(ZeroDivisionError, match="a defect"):
                queued.on_event(an_event(5))
    assert output.closed == 1
    # The item with the defect counts as failed; those after it were not delivered.
    assert (queued.status.delivered, queued.status.failed, queued.status.dropped) == (0, 1, 3)
    assert queued.status.failing and "a defect" in queued.status.last_error


@pytest.mark.parametrize("where", ["take", "close"])
def test_a_defect_not_yet_raised_in_the_loop_is_raised_after_all_outputs_are_closed(where: str) -> None:
    output, other = Defective(where), Recorder()
    output.released.set()
    queues = [QueuedOutput(output, capacity=10), QueuedOutput(other, capacity=10)]
    for queued in queues:
        queued(a_result(0))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        close_outputs(queues)
    assert (output.closed, other.closed) == (1, 1)
    assert other.numbers == [0]


def test_close_delivers_the_queued_items_and_then_closes_the_output() -> None:
    output = Recorder()
    queued = QueuedOutput(output, capacity=100)
    for number in range(50):
        queued(a_result(number))
    queued.close()
    queued.close()
    assert output.numbers == list(range(50))
    assert output.closed == 1


def test_a_slow_output_is_interrupted_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.5)
    monkeypatch.setattr(module, "_GRACE_S", DEADLINE_S)

    class Slow(Recorder):
        def take(self, item: Item) -> None:
            time.sleep(0.1)
            super().take(item)

    output = Slow()
    queued = QueuedOutput(output, capacity=200)
    for number in range(200):
        queued(a_result(number))
    wait_until(lambda: queued.status.delivered > 0, "the first item is delivered")
    queued.close()
    status = queued.status
    assert status.dropped > 100
    assert status.delivered + status.dropped + status.failed == 200
    assert output.numbers == list(range(status.delivered))
    assert output.closed == 1


def test_stuck_outputs_close_in_parallel_and_their_items_are_counted_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.5)
    outputs = [Gated() for _ in range(30)]
    queues = [QueuedOutput(output, capacity=10) for output in outputs]
    for queued, output in zip(queues, outputs, strict=True):
        for number in range(4):
            queued(a_result(number))
        wait_until(lambda output=output: output.entered == 1, "an item is in progress")  # type: ignore[misc]
    started_s = time.monotonic()
    close_outputs(queues)
    # Sequentially they would take half a minute.
    assert time.monotonic() - started_s < 15
    before = [queued.status for queued in queues]
    assert all((status.delivered, status.failed, status.dropped) == (0, 1, 3) for status in before)
    assert all(status.last_error == "still in progress when the run ended" for status in before)
    for output in outputs:
        output.unblock()
    wait_until(lambda: all(output.closed for output in outputs), "they end once they are no longer stuck")
    assert [queued.status for queued in queues] == before
    queues[0](a_result(4))
    assert queues[0].status.dropped == 4


def test_no_thread_is_leaked() -> None:
    before = threading.active_count()
    for _ in range(20):
        with QueuedOutput(Recorder(), capacity=10) as queued:
            queued(a_result(0))
            assert threading.active_count() > before
    wait_until(lambda: threading.active_count() <= before, "all threads have ended")


class Batching(Recorder):
    """An output that buffers everything until it is flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False
        self.buffered: list[Item] = []
        self.flushes = 0

    def take(self, item: Item) -> None:
        self.buffered.append(item)

    def flush(self) -> None:
        self.flushes += 1
        if self.is_full:
            raise WriteError("the disk is full")
        self.taken += self.buffered
        self.buffered = []

    def close(self) -> None:
        super().close()
        if self.buffered:
            raise ItemsLost("the disk is full to the end", len(self.buffered))


def test_buffered_items_are_flushed_when_no_more_items_arrive() -> None:
    output = Batching()
    with QueuedOutput(output, capacity=10) as queued:
        queued(a_result(0))
        queued(a_result(1))
        wait_until(lambda: output.numbers == [0, 1], "the flush")
        output.is_full = True
        queued(a_result(2))
        wait_until(lambda: queued.status.failing, "the failed flush is reported")
        assert (queued.status.delivered, queued.status.failed) == (3, 0)
        assert queued.status.last_error == "the disk is full"
        output.is_full = False
        wait_until(lambda: output.numbers == [0, 1, 2], "the next flush")


def test_buffered_items_that_are_lost_at_the_end_count_as_failed() -> None:
    output = Batching()
    output.is_full = True
    with QueuedOutput(output, capacity=10) as queued:
        for number in range(3):
            queued(a_result(number))
    status = queued.status
    assert (status.delivered, status.failed, status.dropped) == (0, 3, 0)
    assert status.failing and status.last_error == "the disk is full to the end"


@st.composite
def schedules(draw: st.DrawFn) -> tuple[int, list[str], frozenset[int]]:
    """Draw a capacity, a sequence of steps, and the items that the output refuses."""
    steps = draw(st.lists(st.sampled_from(["result", "event", "deliver"]), max_size=40))
    return draw(st.integers(1, 5)), steps, draw(st.frozensets(st.integers(0, len(steps)), max_size=10))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(schedules())
def test_every_item_is_delivered_dropped_or_failed_in_order_within_the_capacity(
    schedule: tuple[int, list[str], frozenset[int]],
) -> None:
    capacity, steps, refused = schedule
    output = Gated(refused=refused)
    # A model of the expected behavior: queued items, the item in progress, finished items and dropped items.
    waiting: list[tuple[int, str]] = []
    in_progress: list[tuple[int, str]] = []
    finished: list[int] = []
    dropped: list[tuple[int, str]] = []
    put = 0

    def begin_next() -> None:
        if waiting and not in_progress:
            in_progress.append(waiting.pop(0))
            wait_until(lambda: output.entered == len(finished) + 1, "the next item is in progress")

    with QueuedOutput(output, capacity=capacity) as queued:
        for step in steps:
            if step == "deliver":
                if in_progress:
                    finished.append(in_progress.pop()[0])
                    output.permits.release()
                    settled(queued, len(finished) + len(dropped))
            else:
                if step == "result":
                    queued(a_result(put))
                else:
                    queued.on_event(an_event(put))
                waiting.append((put, step))
                put += 1
            begin_next()
            if len(waiting) > capacity:
                results = [item for item in waiting if item[1] == "result"]
                dropped.append(results[0] if results else waiting[0])
                waiting.remove(dropped[-1])
            with queued._changed:
                assert [number_of(item) for item in queued._queue] == [number for number, _ in waiting]
            assert len(waiting) <= capacity
            assert queued.status.dropped == len(dropped)
        output.unblock()
    finished += [number for number, _ in (*in_progress, *waiting)]
    assert output.numbers == [number for number in finished if number not in refused]
    status = queued.status
    assert status.delivered == len(output.numbers)
    assert status.failed == len(refused.intersection(finished))
    assert status.delivered + status.dropped + status.failed == put


def test_results_of_a_file_wait_for_room_so_that_none_is_lost() -> None:
    class Slow(Recorder):
        def take(self, item: Item) -> None:
            time.sleep(0.005)
            super().take(item)

    output = Slow()
    with QueuedOutput(output, capacity=2, files={1}) as queued:
        for number in range(30):
            queued(a_result(number, camera=1))
    assert output.numbers == list(range(30))
    assert queued.status.dropped == 0


def test_a_file_waits_only_once_for_a_stuck_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_PATIENCE_S", 0.3)
    output = Gated()
    with QueuedOutput(output, capacity=2, files={0}) as queued:
        started_s = time.monotonic()
        for number in range(200):
            queued(a_result(number))
        assert time.monotonic() - started_s < 200 * 0.3
        assert queued.status.dropped >= 196
        output.permits.release(2000)
