from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.gate import decide_accuracy_gate, gate_record
from edgecnn.bench.paired import Paired, difference_interval
from edgecnn.core.errors import InputError


def _paired(candidate_only: int, baseline_only: int, n: int) -> Paired:
    delta = (candidate_only - baseline_only) / n
    interval = difference_interval(candidate_only, baseline_only, n)
    return Paired(n, candidate_only, baseline_only, delta, interval, agreement=1.0, p_value=1.0)


def test_equal_models_pass_with_enough_photos() -> None:
    gate = decide_accuracy_gate(_paired(20, 20, 5000), 1.0)
    assert gate.passed is True
    assert gate.images_needed is None
    assert gate_record(gate).to_json() == {"max_drop": 1.0, "passed": True}


def test_a_clear_loss_fails() -> None:
    gate = decide_accuracy_gate(_paired(5, 105, 1000), 1.0)
    assert gate.passed is False
    assert "-10.00 points" in gate.message
    assert "1 points" in gate.message


def test_few_photos_leave_the_gate_undecided_and_the_message_says_how_many_are_needed() -> None:
    gate = decide_accuracy_gate(_paired(0, 0, 50), 1.0)
    assert gate.passed is None
    assert gate.images_needed is not None
    assert str(gate.images_needed) in gate.message
    # Models that never differ: the interval is +-1.96 sqrt(2) / (n + 2).
    assert gate.images_needed == pytest.approx(1.96 * 2**0.5 / 0.01 - 2, abs=1)


def test_a_drop_equal_to_the_limit_is_never_decided() -> None:
    gate = decide_accuracy_gate(_paired(0, 3, 1000), 0.3)
    assert gate.passed is None
    assert gate.images_needed is None
    assert "no number of photos" in gate.message


@given(st.integers(0, 30), st.integers(0, 30), st.integers(61, 1000), st.sampled_from([0.0, 0.5, 1.0, 2.5, 10.0]))
def test_the_number_of_photos_needed_is_the_smallest_that_decides(gain: int, loss: int, n: int, points: float) -> None:
    paired = _paired(gain, loss, n)
    gate = decide_accuracy_gate(paired, points)
    if gate.passed is not None or gate.images_needed is None:
        return

    def decided(photos: int) -> bool:
        low, high = difference_interval(gain * photos / n, loss * photos / n, photos)
        return low >= -points / 100 or high < -points / 100

    assert gate.images_needed > n
    assert decided(gate.images_needed)
    assert not decided(gate.images_needed - 1)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(61, 1000))
def test_a_looser_gate_never_fails_where_a_tighter_one_passes(gain: int, loss: int, n: int) -> None:
    order = {False: 0, None: 1, True: 2}
    verdicts = [
        order[decide_accuracy_gate(_paired(gain, loss, n), points).passed] for points in (0, 0.5, 1, 2, 5, 20, 100)
    ]
    assert verdicts == sorted(verdicts)


@pytest.mark.parametrize("points", [-1.0, 101.0, float("nan")])
def test_an_invalid_limit_is_refused(points: float) -> None:
    with pytest.raises(InputError, match="0 to 100 percentage points"):
        decide_accuracy_gate(_paired(0, 0, 100), points)
