from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.core.model_file.model_file import ModelFile, read_model_file
from edgecnn.runtime.inference import threads
from edgecnn.runtime.inference.threads import (
    TOLERANCE,
    ThreadChoice,
    choose_threads,
    parse_threads,
    pick_threads,
    thread_counts,
)
from tests.pixel_model import write_pixel_model

measured = st.dictionaries(st.integers(1, 64), st.floats(1e-6, 1e6), min_size=1)


@pytest.fixture
def pixels(tmp_path: Path) -> ModelFile:
    return read_model_file(write_pixel_model(tmp_path, 2, 3))


@pytest.mark.parametrize(
    ("invoke_ms", "chosen"),
    [
        ({1: 100.0, 2: 60.0, 4: 40.0}, 4),
        ({1: 100.0, 2: 41.9, 4: 40.0}, 2),
        ({1: 100.0, 2: 42.1, 4: 40.0}, 4),
        ({1: 100.0, 2: 60.0, 4: 90.0}, 2),
        ({1: 0.5, 2: 0.5, 4: 0.6}, 1),
        ({4: 3000.0}, 4),
    ],
)
def test_the_fewest_threads_within_the_tolerance_are_chosen(invoke_ms: dict[int, float], chosen: int) -> None:
    assert choose_threads(invoke_ms) == chosen


@given(invoke_ms=measured)
def test_the_choice_is_within_the_tolerance_and_fewer_threads_are_not(invoke_ms: dict[int, float]) -> None:
    chosen = choose_threads(invoke_ms)
    limit_ms = min(invoke_ms.values()) * (1 + TOLERANCE)
    assert invoke_ms[chosen] <= limit_ms
    assert all(spent_ms > limit_ms for count, spent_ms in invoke_ms.items() if count < chosen)


@given(invoke_ms=measured, slower=st.floats(1, 10))
def test_more_threads_that_are_not_faster_do_not_change_the_choice(invoke_ms: dict[int, float], slower: float) -> None:
    more = {max(invoke_ms) + 1: min(invoke_ms.values()) * slower}
    assert choose_threads({**invoke_ms, **more}) == choose_threads(invoke_ms)


@given(max_threads=st.integers(1, 1000))
def test_the_numbers_to_measure_double_up_to_the_maximum(max_threads: int) -> None:
    counts = thread_counts(max_threads)
    assert counts[0] == 1 and counts[-1] == max_threads
    assert all(fewer < more <= 2 * fewer for fewer, more in pairwise(counts))


def test_every_number_of_threads_is_measured_and_the_choice_follows_from_the_times(pixels: ModelFile) -> None:
    choice = pick_threads(pixels, max_threads=3)
    assert list(choice.invoke_ms) == [1, 2, 3]
    assert min(choice.invoke_ms.values()) > 0
    assert choice.threads == choose_threads(choice.invoke_ms)


def test_a_model_that_is_too_slow_is_measured_with_the_maximum_only(
    pixels: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_LIMIT_S", 0.0)
    choice = pick_threads(pixels, max_threads=4)
    assert choice.threads == 4
    assert list(choice.invoke_ms) == [4]


def test_a_single_processor_needs_no_measurement(pixels: ModelFile) -> None:
    assert pick_threads(pixels, max_threads=1) == ThreadChoice(1, {})
    with pytest.raises(InputError, match="expected max_threads of 1 or more, got 0"):
        pick_threads(pixels, max_threads=0)


def test_threads_are_a_number_or_auto() -> None:
    assert parse_threads("3") == 3
    assert parse_threads("auto") is None


@pytest.mark.parametrize("text", ["", "0", "-1", "2.5", "many", "Auto?"])
def test_other_values_are_rejected_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="expected threads as a number of 1 or more, or auto, got") as caught:
        parse_threads(text)
    assert "\n" not in str(caught.value)
