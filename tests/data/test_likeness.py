from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np
import pytest

from edgecnn.core.preprocess import Image
from edgecnn.data.near_duplicates import connected_groups
from edgecnn.data.similarity import MIN_CORRELATION, Likeness, likeness_of, similar_pairs
from tests.data.scenes import scene


def likeness(picture: Image) -> Likeness:
    return likeness_of(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def pairs_of(*pictures: Image) -> list[tuple[int, int]]:
    return [(int(first), int(second)) for first, second in similar_pairs([likeness(picture) for picture in pictures])]


def reencoded(picture: Image, quality: int) -> Image:
    _, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def captioned(picture: Image) -> Image:
    return np.asarray(cv2.putText(picture.copy(), "shop", (10, 150), cv2.FONT_HERSHEY_PLAIN, 0.8, (255,) * 3), np.uint8)


CHANGES: dict[str, Callable[[Image], Image]] = {
    "a poor JPEG": lambda picture: reencoded(picture, 30),
    "half the size": lambda picture: np.asarray(
        cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ),
    "squeezed": lambda picture: np.asarray(cv2.resize(picture, (150, 160), interpolation=cv2.INTER_AREA)),
    "brighter": lambda picture: np.clip(picture * 0.8 + 40, 0, 255).astype(np.uint8),
    "gray": lambda picture: np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2),
    "captioned": captioned,
    "a row and a column less": lambda picture: picture[1:, 1:],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_picture_is_found_after_a_change(change: Callable[[Image], Image]) -> None:
    for seed in range(10):
        assert pairs_of(scene(seed), change(scene(seed))) == [(0, 1)], seed


def test_different_pictures_are_not_alike() -> None:
    assert pairs_of(*(scene(seed) for seed in range(200))) == []


def test_blank_pictures_resemble_nothing() -> None:
    blank = [np.full((100, 100, 3), shade, np.uint8) for shade in (0, 0, 1, 255)]
    assert pairs_of(*blank) == []


def test_a_common_layout_is_not_a_likeness() -> None:
    def disc(seed: int) -> Image:
        inside = cv2.circle(np.zeros((160, 160), np.uint8), (80, 80), 75, 255, thickness=-1)
        return np.asarray((scene(seed, 160, 160) * 0.3 + 100) * (inside[:, :, None] > 0), np.uint8)

    discs = [disc(seed) for seed in range(60)]
    first, second = likeness(discs[0]), likeness(discs[1])
    assert float(first.structure @ second.structure) > MIN_CORRELATION
    assert pairs_of(*discs) == []
    assert pairs_of(*discs, reencoded(discs[7], 75)) == [(7, 60)]


def test_small_pictures_must_agree_more_closely() -> None:
    large, small = scene(3, 65, 65), scene(3, 64, 64)
    assert likeness(small).is_small and not likeness(large).is_small
    shifted = (0.5 * small + 0.5 * np.roll(small, 1, axis=1)).astype(np.uint8)
    first, second = likeness(small), likeness(shifted)
    assert MIN_CORRELATION < float(first.structure @ second.structure) < 0.99
    assert pairs_of(small, shifted) == []
    assert pairs_of(small, (small * 0.9 + 10).astype(np.uint8)) == [(0, 1)]


def test_the_bound_loses_no_pair_and_every_block_is_compared() -> None:
    random = np.random.default_rng(5)
    structures = random.normal(size=(600, 1024)).astype(np.float32)
    # Families of neighbors at distances on both sides of the limit, and their negatives so that the mean is 0.
    structures += np.repeat(random.normal(size=(30, 1024)), 20, axis=0) * random.uniform(1, 12, (600, 1))
    structures[300:] = -structures[:300]
    structures = structures[random.permutation(600)].astype(np.float32)
    structures /= np.linalg.norm(structures, axis=1, keepdims=True)
    expected = {
        (first, second)
        for first, second in combinations(range(600), 2)
        if float(structures[first] @ structures[second]) >= MIN_CORRELATION
    }
    assert len(expected) > 100
    pairs = similar_pairs([Likeness(structure, is_small=False) for structure in structures])
    assert {(int(first), int(second)) for first, second in pairs} == expected


def test_no_pictures_give_no_pairs() -> None:
    assert similar_pairs([]).shape == (0, 2)


def test_pairs_are_grouped_through_common_members() -> None:
    assert connected_groups([(5, 7), (1, 2), (2, 5), (8, 9)]) == [(1, 2, 5, 7), (8, 9)]
    assert connected_groups([]) == []
