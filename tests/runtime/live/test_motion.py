from __future__ import annotations

import gc
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.core.errors import InputError
from edgecnn.core.preprocess import Image
from edgecnn.runtime.live.motion import MotionGate

SECOND_NS = 1_000_000_000
shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))


def picture(height: int = 480, width: int = 640, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 226, (height, width, 3), np.uint8)


@given(shape=shapes, count=st.integers(1, 10))
def test_identical_pictures_pass_once_and_a_changed_picture_passes(shape: tuple[int, int], count: int) -> None:
    gate, image = MotionGate(max_quiet_s=100), picture(*shape)
    assert [gate(image, number) for number in range(count)] == [True] + [False] * (count - 1)
    assert gate(image + 20, count)
    assert not gate(image + 20, count + 1)


@given(gaps_ms=st.lists(st.integers(0, 4000), min_size=1, max_size=40))
def test_a_still_scene_passes_once_per_quiet_time(gaps_ms: list[int]) -> None:
    gate, image = MotionGate(max_quiet_s=3), picture(24, 32)
    passed_ms, at_ms = -math.inf, 0
    for gap_ms in gaps_ms:
        at_ms += gap_ms
        passes = gate(image, at_ms * 1_000_000)
        assert passes == (at_ms - passed_ms >= 3000)
        passed_ms = at_ms if passes else passed_ms


def test_slow_changes_add_up() -> None:
    gate, image = MotionGate(threshold=5, max_quiet_s=100), np.full((480, 640, 3), 100, np.uint8)
    passed = [gate(image + np.uint8(step), step) for step in range(12)]
    assert [step for step, passes in enumerate(passed) if passes] == [0, 5, 10]


def test_an_object_that_enters_passes_and_noise_does_not() -> None:
    gate, rng = MotionGate(max_quiet_s=100), np.random.default_rng(1)
    scene = np.full((480, 640, 3), 120, np.uint8)

    def noisy() -> Image:
        return np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)

    assert [gate(noisy(), number) for number in range(6)] == [True] + [False] * 5
    scene[200:340, 300:410] = 60
    assert gate(noisy(), 6)


@pytest.mark.parametrize("shape", [(1080, 1920), (97, 33), (479, 641), (5, 7)])
def test_motion_is_detected_in_every_quarter_of_a_picture_of_any_size(shape: tuple[int, int]) -> None:
    height, width = shape
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            gate, image = MotionGate(), np.zeros((height, width, 3), np.uint8)
            assert gate(image, 0)
            image[rows, columns] = 200
            assert gate(image, 1)


def test_pictures_of_another_size_and_views_are_compared_too() -> None:
    gate, image = MotionGate(), np.full((480, 640, 3), 90, np.uint8)
    assert gate(image, 0)
    assert not gate(np.full((240, 320, 3), 90, np.uint8), 1)
    assert not gate(image[100:300, 50:250], 2)
    image[100:300, 50:250] = 120
    assert gate(image[100:300, 50:250], 3)


def test_a_threshold_of_0_lets_everything_pass() -> None:
    gate, image = MotionGate(threshold=0), picture(24, 32)
    assert all(gate(image, number) for number in range(3))


def test_nothing_is_allocated_per_picture() -> None:
    gate, images = MotionGate(), [picture(seed=seed) for seed in range(2)]
    for number in range(10):
        gate(images[number % 2], number)
    gc.collect()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10, 200):
            gate(images[number % 2], number)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1024
    # The smallest pixel array here, 24 x 32 in gray, has 768 bytes; views and numbers are smaller.
    assert peak - before < 768


@pytest.mark.parametrize(
    ("threshold", "max_quiet_s", "complaint"),
    [
        (-1, 10, "expected a motion threshold of 0 to 255 gray levels, got -1; try 1.5"),
        (math.nan, 10, "expected a motion threshold"),
        (1, -1, "expected a quiet time of 0 or more seconds, got -1; try 10"),
        (1, math.inf, "expected a quiet time"),
    ],
)
def test_invalid_settings_are_rejected(threshold: float, max_quiet_s: float, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        MotionGate(threshold, max_quiet_s)
