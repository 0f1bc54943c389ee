from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.bench.photo_sample import decide, decisions_record, sample_photos, stratified
from edgecnn.core.dataset import Example
from edgecnn.core.errors import DataError, InputError
from edgecnn.runtime.inference.classifier import load_model
from tests.colors import write_color_model, write_color_photos


def _examples(counts: list[int]) -> list[Example]:
    names = [(label, number) for label, count in enumerate(counts) for number in range(count)]
    digests = [hashlib.sha256(f"{label}/{number}".encode()).hexdigest() for label, number in names]
    return [
        Example(Path("a", str(label), f"{number}.png"), label, digest)
        for (label, number), digest in zip(names, digests, strict=True)
    ]


class_sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6)


@given(class_sizes, st.integers(1, 120), st.integers(0, 5))
def test_a_sample_contains_every_class_in_proportion(counts: list[int], limit: int, seed: int) -> None:
    chosen = stratified(_examples(counts), limit, seed)
    assert len(chosen) == len(set(chosen)) == min(limit, sum(counts))
    share = len(chosen) / sum(counts)
    taken = Counter(example.label for example in chosen)
    for label, count in enumerate(counts):
        assert abs(taken[label] - share * count) <= 1


@given(class_sizes, st.integers(1, 60), st.integers(0, 5), st.randoms())
def test_a_sample_does_not_depend_on_file_names(counts: list[int], limit: int, seed: int, random: object) -> None:
    examples = _examples(counts)
    renamed = [example._replace(path=Path("b") / f"{example.sha256[::-1]}.jpg") for example in examples]
    random.shuffle(renamed)  # type: ignore[attr-defined]
    chosen, again = (stratified(each, limit, seed) for each in (examples, renamed))
    assert {example.sha256 for example in chosen} == {example.sha256 for example in again}


def test_another_seed_chooses_other_photos() -> None:
    examples = _examples([40, 40])
    assert stratified(examples, 10, 0) != stratified(examples, 10, 1)


def test_duplicates_of_a_photo_count_once() -> None:
    examples = _examples([3])
    copies = [example._replace(path=example.path.with_suffix(".copy.png")) for example in examples]
    assert len(stratified([*examples, *copies], 10, 0)) == 3


def test_the_same_photos_are_chosen_on_another_machine(tmp_path: Path) -> None:
    here = write_color_photos(tmp_path / "here", 10)
    there = shutil.copytree(here, tmp_path / "there")
    for photo in sorted(there.rglob("*.png")):
        photo.rename(photo.with_name(f"{photo.stem[::-1]}-renamed.png"))
    model = load_model(write_color_model(tmp_path / "m.tflite"))
    samples = [sample_photos([model], folder, limit=6, seed=3) for folder in (here, there)]
    assert [example.sha256 for example in samples[0].examples] != []
    assert {each.sha256 for each in samples[0].examples} == {each.sha256 for each in samples[1].examples}
    assert (samples[0].found, samples[0].limit) == (30, 6)


def test_decisions_are_recorded_photo_by_photo(tmp_path: Path) -> None:
    photos = write_color_photos(tmp_path / "photos", 4)
    right = load_model(write_color_model(tmp_path / "right.tflite"))
    wrong = load_model(write_color_model(tmp_path / "wrong.tflite", ("green", "red", "blue")))
    sample = sample_photos([right, wrong], photos, limit=None, seed=0)
    accuracy = decide(sample, right, wrong, threads=1)
    assert accuracy.evaluation.paired is not None
    assert accuracy.evaluation.paired.agreement == pytest.approx(1 / 3)
    decisions = decisions_record(accuracy.evaluation.candidate, sample.examples)
    assert [each.label for each in decisions] == [each.predicted for each in decisions]
    by_content = {hashlib.sha256(path.read_bytes()).hexdigest(): path.parent.name for path in photos.rglob("*.png")}
    assert {each.sha256: each.label for each in decisions} == by_content


def test_missing_labels_are_refused_before_anything_is_measured(tmp_path: Path) -> None:
    photos = write_color_photos(tmp_path / "photos", 1)
    right = load_model(write_color_model(tmp_path / "right.tflite"))
    other = load_model(write_color_model(tmp_path / "other.tflite", ("red", "green", "violet")))
    with pytest.raises(DataError, match=r"'blue' is not a class of .*other\.tflite"):
        sample_photos([right, other], photos, limit=None, seed=0)


def test_an_empty_sample_is_refused(tmp_path: Path) -> None:
    model = load_model(write_color_model(tmp_path / "m.tflite"))
    with pytest.raises(InputError, match="limit of 1 photo or more, got 0"):
        sample_photos([model], tmp_path, limit=0, seed=0)
