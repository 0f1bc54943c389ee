from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from edgecnn.core.errors import InputError, UnknownName
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.card import card_from_json
from edgecnn.core.settings.decision import DecisionSettings
from edgecnn.runtime.decision import (
    UNKNOWN,
    UNKNOWN_LABEL,
    Decision,
    DecisionRule,
    DecisionState,
    Event,
    decide,
    decision_rule,
    decision_settings,
    event_record,
    finish,
    parse_smoothing,
    parse_unknown,
    rule_from_options,
)
from edgecnn.runtime.decision.observation import classify_observation, margin, normalized_entropy
from edgecnn.runtime.decision.smoothing import exponential
from edgecnn.runtime.inference.threshold import Threshold, decided
from tests.pixel_model import pixel_card, with_threshold

Vector = NDArray[np.float32]
Signal = Iterable[tuple[Vector, int]]

LABELS = LabelMap(("cat", "dog", "fox"))
MS = 1_000_000
FRAME_NS = 33 * MS
EVERYTHING = {"enter_score": 0.0, "leave_score": 0.0, "min_margin": 0.0, "max_entropy": 1.0}


def vector(*values: float) -> Vector:
    return np.array(values, np.float32)


CAT, DOG, FOX = vector(0.9, 0.06, 0.04), vector(0.05, 0.9, 0.05), vector(0.02, 0.08, 0.9)
NEITHER = vector(0.34, 0.33, 0.33)


def rule(**settings: Any) -> DecisionRule:
    return decision_rule(DecisionSettings(**settings), LABELS)


def frames(probabilities: Iterable[Vector], every_ns: int = FRAME_NS) -> Signal:
    return ((frame, number * every_ns) for number, frame in enumerate(probabilities))


def run(rule: DecisionRule, signal: Signal) -> tuple[DecisionState, list[Decision]]:
    state, decisions = DecisionState(), []
    for probabilities, at_ns in signal:
        state, decision = decide(rule, state, probabilities, at_ns)
        decisions.append(decision)
    return state, decisions


def events(decisions: Iterable[Decision]) -> list[Event]:
    return [event for decision in decisions for event in decision.events]


def summarize_events(decisions: Iterable[Decision]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.score.label, event.at_ns // MS) for event in events(decisions)]


@st.composite
def distributions(draw: st.DrawFn) -> Vector:
    weights = np.array(draw(st.lists(st.floats(0, 1), min_size=3, max_size=3)))
    assume(weights.sum() > 0.01)
    return vector(*(weights / weights.sum()))


@st.composite
def signals(draw: st.DrawFn) -> list[tuple[Vector, int]]:
    steps = draw(st.lists(st.tuples(distributions(), st.integers(0, 900)), min_size=1, max_size=40))
    times = np.cumsum([gap_ms for _, gap_ms in steps]) * MS
    return [(probabilities, int(at_ns)) for (probabilities, _), at_ns in zip(steps, times, strict=True)]


@st.composite
def any_settings(draw: st.DrawFn) -> dict[str, Any]:
    enter = draw(st.floats(0, 1))
    durations = st.sampled_from([0.0, 0.1, 0.4, 1.5])
    return {
        "smoothing": draw(st.sampled_from(["none", "exponential", "majority"])),
        "half_life_s": draw(st.sampled_from([0.01, 0.3, 5.0])),
        "window_s": draw(st.sampled_from([0.1, 1.0, 60.0])),
        "enter_score": enter,
        "leave_score": draw(st.floats(0, enter)),
        "min_margin": draw(st.sampled_from([0.0, 0.2])),
        "max_entropy": draw(st.sampled_from([1.0, 0.6])),
        "enter_after_s": draw(durations),
        "leave_after_s": draw(durations),
        "hold_s": draw(durations),
    }


# Minimum times


@pytest.mark.parametrize("smoothing", ["none", "exponential", "majority"])
@given(probabilities=distributions(), every_ms=st.integers(5, 300))
def test_a_constant_input_settles_on_its_best_class(smoothing: str, probabilities: Vector, every_ms: int) -> None:
    count = math.ceil(1000 / every_ms) + 1
    settle = rule(smoothing=smoothing, **{**EVERYTHING, "enter_after_s": 0.5})
    _, decisions = run(settle, frames([probabilities] * count, every_ms * MS))
    (entered,) = events(decisions)
    assert entered.kind == "entered"
    assert entered.score.index == int(probabilities.argmax())
    assert 500 <= entered.at_ns / MS < 500 + every_ms
    assert decisions[-1].current is not None and decisions[-1].current.index == entered.score.index
    assert decisions[-1].since_ns == entered.at_ns
    assert entered.score.score == pytest.approx(float(probabilities.max()), abs=1e-5)


@given(
    runs=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    first=st.sampled_from([None, CAT, DOG]),
)
def test_flicker_faster_than_the_minimum_time_causes_no_event(runs: list[int], first: Vector | None) -> None:
    flicker = [frame for number, length in enumerate(runs) for frame in [(CAT, DOG)[number % 2]] * length]
    start = [] if first is None else [first] * 40
    patient = rule(smoothing="none", enter_after_s=0.35, leave_after_s=0.35)
    _, decisions = run(patient, frames([*start, *flicker]))
    assert events(decisions[len(start) :]) == []


@pytest.mark.parametrize("smoothing", ["none", "exponential", "majority"])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_a_steady_flicker_does_not_change_the_current_class(smoothing: str, length: int) -> None:
    flicker = ([DOG] * length + [CAT] * length) * 40
    _, decisions = run(rule(smoothing=smoothing), frames([CAT] * 60 + flicker))
    assert [event.score.label for event in events(decisions)] == ["cat"]


def test_a_class_must_last_before_it_replaces_another() -> None:
    quick = rule(smoothing="none", enter_after_s=0.3, leave_after_s=5)
    _, decisions = run(quick, frames([CAT] * 10 + [DOG] * 10, 100 * MS))
    assert summarize_events(decisions) == [("entered", "cat", 300), ("left", "cat", 1300), ("entered", "dog", 1300)]
    assert events(decisions)[1].duration_ns == 1000 * MS


def test_a_class_that_is_briefly_unseen_is_not_left() -> None:
    patient = rule(smoothing="none", enter_after_s=0.1, leave_after_s=1)
    hidden = [CAT] * 10 + [NEITHER] * 9 + [CAT] * 5
    _, decisions = run(patient, frames(hidden, 100 * MS))
    assert summarize_events(decisions) == [("entered", "cat", 100)]
    _, decisions = run(patient, frames([CAT] * 10 + [NEITHER] * 15, 100 * MS))
    assert summarize_events(decisions) == [
        ("entered", "cat", 100),
        ("left", "cat", 2000),
        ("entered", UNKNOWN_LABEL, 2000),
    ]


def test_an_unseen_class_is_left_even_if_no_other_class_lasts() -> None:
    settings = rule(smoothing="none", enter_after_s=0.3, leave_after_s=0.5)
    state, decisions = run(settings, frames([CAT] * 10 + [DOG, FOX] * 10, 100 * MS))
    assert summarize_events(decisions) == [("entered", "cat", 300), ("left", "cat", 1500)]
    assert decisions[-1].current is None and decisions[-1].since_ns is None
    assert finish(settings, state, 5000 * MS)[1] == ()


def test_an_entered_class_stays_current_for_the_hold_time() -> None:
    holding = rule(smoothing="none", enter_after_s=0, leave_after_s=0, hold_s=1)
    _, decisions = run(holding, frames([CAT] + [DOG] * 20, 100 * MS))
    assert summarize_events(decisions) == [("entered", "cat", 0), ("left", "cat", 1000), ("entered", "dog", 1000)]


@given(signal=signals(), settings=any_settings(), rest_ms=st.integers(0, 2000))
def test_events_alternate_and_durations_add_up(
    signal: list[tuple[Vector, int]], settings: dict[str, Any], rest_ms: int
) -> None:
    made = rule(**settings)
    state, decisions = run(made, signal)
    end_ns = signal[-1][1] + rest_ms * MS
    fresh, last = finish(made, state, end_ns)
    all_events = [*events(decisions), *last]
    assert [event.kind for event in all_events] == ["entered", "left"] * (len(all_events) // 2)
    assert [event.at_ns for event in all_events] == sorted(event.at_ns for event in all_events)
    for entered, left in zip(all_events[::2], all_events[1::2], strict=True):
        assert (entered.score.label, entered.score.index) == (left.score.label, left.score.index)
        assert entered.duration_ns is None
        assert left.duration_ns == left.at_ns - entered.at_ns
    times = [at_ns for _, at_ns in signal] + [end_ns]
    spans = [later - earlier for earlier, later in pairwise(times)]
    current_ns = sum(span for span, decision in zip(spans, decisions, strict=True) if decision.current is not None)
    assert sum(event.duration_ns for event in all_events if event.duration_ns is not None) == current_ns
    assert fresh.at_ns is None and finish(made, fresh, end_ns)[1] == ()


@given(signal=signals(), settings=any_settings())
def test_minimum_times_are_respected(signal: list[tuple[Vector, int]], settings: dict[str, Any]) -> None:
    _, decisions = run(rule(**settings), signal)
    seen: list[tuple[int, int]] = []
    for decision, (_, at_ns) in zip(decisions, signal, strict=True):
        seen.append((decision.seen.index, at_ns))
        for event in decision.events:
            if event.kind == "left":
                assert event.duration_ns is not None and event.duration_ns >= round(settings["hold_s"] * 1e9)
                continue
            lasting = [at for index, at in seen[_last_other(seen, event.score.index) :]]
            assert event.at_ns - lasting[0] >= round(settings["enter_after_s"] * 1e9)


def _last_other(seen: Sequence[tuple[int, int]], index: int) -> int:
    """Return the position at which the run of `index` at the end of `seen` begins."""
    return next((start for start in range(len(seen), 0, -1) if seen[start - 1][0] != index), 0)


# Smoothing


@given(
    segments=st.lists(st.tuples(distributions(), st.integers(1, 800)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(2, 9), min_size=6, max_size=6),
)
def test_exponential_smoothing_does_not_depend_on_the_frame_rate(
    segments: list[tuple[Vector, int]], cuts: list[int]
) -> None:
    coarse: list[tuple[Vector, int]] = [(CAT, 0)]
    fine: list[tuple[Vector, int]] = [(CAT, 0)]
    for (probabilities, length_ms), parts in zip(segments, cuts, strict=False):
        start_ns = coarse[-1][1]
        coarse.append((probabilities, start_ns + length_ms * MS))
        fine += [(probabilities, start_ns + length_ms * MS * part // parts) for part in range(1, parts + 1)]
    smooth = rule(smoothing="exponential", half_life_s=0.25)
    expected, actual = run(smooth, coarse)[1][-1], run(smooth, fine)[1][-1]
    np.testing.assert_allclose(actual.probabilities, expected.probabilities, atol=2e-6)


@pytest.mark.parametrize("rate_hz", [15, 30, 60])
def test_a_changing_signal_is_smoothed_equally_at_all_usual_frame_rates(rate_hz: int) -> None:
    def at(second: float) -> Vector:
        cat = 0.5 + 0.4 * math.sin(second)
        return vector(cat, 1 - cat, 0)

    smooth = rule(smoothing="exponential", half_life_s=0.5)
    slow, reference = (
        run(smooth, ((at(n / rate), n * 10**9 // rate) for n in range(4 * rate + 1)))[1] for rate in (rate_hz, 960)
    )
    np.testing.assert_allclose(slow[-1].probabilities, reference[-1].probabilities, atol=0.02)


def test_the_average_is_halved_after_the_half_life() -> None:
    half = exponential(vector(1, 0), vector(0, 1), 250 * MS, 250 * MS)
    np.testing.assert_allclose(half, [0.5, 0.5])
    assert half.dtype == np.float32


@given(signal=signals(), settings=any_settings())
def test_smoothed_probabilities_are_a_convex_combination(
    signal: list[tuple[Vector, int]], settings: dict[str, Any]
) -> None:
    _, decisions = run(rule(**settings), signal)
    past = np.array([probabilities for probabilities, _ in signal])
    for number, decision in enumerate(decisions, 1):
        assert decision.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert (decision.probabilities >= past[:number].min(axis=0) - 1e-6).all()
        assert (decision.probabilities <= past[:number].max(axis=0) + 1e-6).all()
        assert 0 <= decision.seen.score <= 1 + 1e-6


def test_a_majority_outvotes_single_frames_and_forgets_votes_older_than_its_window() -> None:
    settings = rule(smoothing="majority", window_s=0.5)
    state, decisions = run(settings, frames([CAT, DOG, CAT, FOX, CAT, DOG, DOG, DOG, DOG], 100 * MS))
    assert [decision.seen.label for decision in decisions] == ["cat"] * 7 + ["dog"] * 2
    assert len(state.votes) == 5
    assert decisions[-1].seen.score == pytest.approx(0.9)


def test_a_tied_vote_keeps_the_current_class() -> None:
    settings = rule(smoothing="majority", window_s=0.4, enter_after_s=0, leave_after_s=0)
    _, decisions = run(settings, frames([DOG, DOG, CAT, CAT], 100 * MS))
    assert summarize_events(decisions) == [("entered", "dog", 0)]


# Unknown


@given(signal=signals(), settings=any_settings())
def test_unknown_is_never_entered_without_thresholds(
    signal: list[tuple[Vector, int]], settings: dict[str, Any]
) -> None:
    _, decisions = run(rule(**{**settings, **EVERYTHING}), signal)
    assert all(event.score.index != UNKNOWN for event in events(decisions))
    assert all(decision.seen.index != UNKNOWN for decision in decisions)


@pytest.mark.parametrize(
    ("thresholds", "probabilities", "label"),
    [
        ({"enter_score": 0.7}, (0.69, 0.31, 0), UNKNOWN_LABEL),
        ({"enter_score": 0.7}, (0.71, 0.29, 0), "cat"),
        ({"enter_score": 0, "min_margin": 0.2}, (0.55, 0.45, 0), UNKNOWN_LABEL),
        ({"enter_score": 0, "min_margin": 0.2}, (0.65, 0.35, 0), "cat"),
        ({"enter_score": 0, "max_entropy": 0.6}, (0.5, 0.5, 0), UNKNOWN_LABEL),
        ({"enter_score": 0, "max_entropy": 0.7}, (0.5, 0.5, 0), "cat"),
        ({"classes": {"dog": {"enter_score": 0.95}}}, (0.06, 0.94, 0), UNKNOWN_LABEL),
        ({"classes": {"dog": {"enter_score": 0.95}}}, (0.94, 0.06, 0), "cat"),
    ],
)
def test_low_scores_and_even_probabilities_are_unknown(
    thresholds: dict[str, Any], probabilities: tuple[float, ...], label: str
) -> None:
    _, decisions = run(rule(smoothing="none", **thresholds), [(vector(*probabilities), 0)])
    assert decisions[0].seen.label == label
    assert decisions[0].seen.score == pytest.approx(max(probabilities))


def test_a_class_is_entered_at_one_score_and_left_at_a_lower_one() -> None:
    settings = rule(smoothing="none", enter_score=0.7, leave_score=0.4, enter_after_s=0, leave_after_s=0)
    scores = [0.6, 0.75, 0.5, 0.41, 0.39, 0.6]
    _, decisions = run(
        settings, frames((vector(score, (1 - score) / 2, (1 - score) / 2) for score in scores), 100 * MS)
    )
    assert summarize_events(decisions) == [
        ("entered", "unknown", 0),
        ("left", "unknown", 100),
        ("entered", "cat", 100),
        ("left", "cat", 400),
        ("entered", "unknown", 400),
    ]
    assert events(decisions)[3].score.score == pytest.approx(0.41)


@given(distributions())
def test_entropy_and_margin_are_between_0_and_1(probabilities: Vector) -> None:
    assert 0 <= normalized_entropy(probabilities) <= 1 + 1e-6
    assert 0 <= margin(probabilities) <= 1


def test_entropy_accounts_for_probabilities_rounded_to_0() -> None:
    assert normalized_entropy(np.zeros(1000, np.float32)) == pytest.approx(1)
    assert normalized_entropy(vector(1, 0, 0)) == 0
    assert normalized_entropy(np.full(8, 1 / 8, np.float32)) == pytest.approx(1)
    assert normalized_entropy(vector(1)) == 0 and margin(vector(1)) == 1


# A class that must not be missed

LATE, EARLY = Threshold(1, 0.75), Threshold(1, 0.125)
"""Thresholds of the dog."""


def watching(threshold: Threshold, **settings: Any) -> DecisionRule:
    times = {"enter_after_s": 0, "leave_after_s": 0}
    return decision_rule(DecisionSettings(**(times | settings)), LABELS, threshold)


@given(probabilities=distributions(), threshold=st.sampled_from([EARLY, LATE]))
def test_a_constant_input_settles_on_the_class_that_the_threshold_decides(
    probabilities: Vector, threshold: Threshold
) -> None:
    _, decisions = run(watching(threshold, **EVERYTHING), frames([probabilities] * 3))
    assert decisions[-1].current is not None
    assert decisions[-1].current.index == decided(probabilities, threshold)
    assert decisions[-1].current.score == pytest.approx(float(probabilities[decisions[-1].current.index]), abs=1e-5)


@pytest.mark.parametrize("smoothing", ["none", "exponential", "majority"])
@pytest.mark.parametrize(
    ("threshold", "probabilities", "label"),
    [
        (EARLY, (0.7, 0.2, 0.1), "dog"),
        (EARLY, (0.9, 0.1, 0.0), "cat"),
        (EARLY, (0.45, 0.1, 0.45), UNKNOWN_LABEL),
        (LATE, (0.3, 0.7, 0.0), "cat"),
        (LATE, (0.2, 0.8, 0.0), "dog"),
        (LATE, (0.2, 0.6, 0.2), UNKNOWN_LABEL),
    ],
)
def test_a_class_that_a_threshold_decides_can_be_entered(
    smoothing: str, threshold: Threshold, probabilities: tuple[float, ...], label: str
) -> None:
    _, decisions = run(watching(threshold, smoothing=smoothing), frames([vector(*probabilities)] * 3))
    assert decisions[-1].current is not None and decisions[-1].current.label == label


@given(dog=st.floats(0, 1), minimum=st.floats(0.01, 0.99))
def test_a_threshold_always_decides_on_one_of_two_classes(dog: float, minimum: float) -> None:
    both = LabelMap(("cat", "dog"))
    settled = decision_rule(DecisionSettings(smoothing="none"), both, Threshold(1, minimum))
    probabilities = vector(1 - dog, dog)
    assume(abs(dog - minimum) > 1e-6)
    assert classify_observation(settled, probabilities, None).index == (1 if dog > minimum else 0)


def test_smoothing_is_applied_before_the_threshold() -> None:
    signal = frames([vector(1, 0, 0), vector(0.8, 0.2, 0)], 300 * MS)
    _, decisions = run(watching(EARLY, smoothing="exponential", half_life_s=0.3), signal)
    # The average of the dog's scores 0 and 0.2 is below the threshold, although the score in the frame is above.
    assert [decision.seen.label for decision in decisions] == ["cat", "cat"]


@pytest.mark.parametrize(
    "settings", [{"enter_score": 0.5}, {"classes": {"dog": {"enter_score": 0.5}}}], ids=["all", "its own"]
)
def test_an_enter_score_set_by_the_user_is_kept(settings: dict[str, Any]) -> None:
    made = watching(EARLY, **settings)
    assert made.enter.tolist() == [0.5] * 3
    _, decisions = run(made, frames([vector(0.7, 0.2, 0.1)]))
    assert decisions[0].seen.label == UNKNOWN_LABEL


def test_a_leave_score_is_never_above_the_enter_score_from_a_threshold() -> None:
    made = watching(EARLY, leave_score=0.4)
    assert made.leave.tolist() == pytest.approx([0.4, 0.125, 0.4])
    assert watching(EARLY).leave.tolist() == pytest.approx([0.35, 0.7 * 0.125, 0.35])


def test_the_rule_of_a_run_uses_the_threshold_of_the_model_file() -> None:
    card = with_threshold(pixel_card(1, 1, LABELS.names), "dog", 0.125)
    made = rule_from_options(card, LABELS, "none", None)
    assert made is not None and made.threshold == EARLY
    assert rule_from_options(card, LABELS, None, None) is None


# With motion gating


@pytest.mark.parametrize("smoothing", ["none", "exponential", "majority"])
@given(gaps_ms=st.lists(st.integers(10, 400), min_size=60, max_size=60))
def test_skipping_frames_only_when_settled_changes_no_decision(smoothing: str, gaps_ms: list[int]) -> None:
    settings = rule(smoothing=smoothing)
    state = DecisionState()
    labels, at_ms = [], 0
    for number, gap_ms in enumerate(gaps_ms):
        at_ms += gap_ms
        moved = number == 0 or 20 <= number <= 30
        shown = DOG if number >= 30 else CAT
        if moved or not state.settled:
            state, decision = decide(settings, state, shown, at_ms * MS)
            labels += [event.score.label for event in decision.events if event.kind == "entered"]
    assume(sum(gaps_ms[1:30]) > 3000 and sum(gaps_ms[31:]) > 3000)
    assert labels[0] == "cat" and labels[-1] == "dog" and state.settled


# Invalid input


@pytest.mark.parametrize(
    ("probabilities", "complaint"),
    [
        (vector(1, 0), r"expected probabilities of 3 classes, got an array of shape \(2,\)"),
        (vector(7, -3, 1), "expected probabilities of 0 to 1, got -3 to 7; use a model that ends in a softmax"),
        (vector(math.nan, 0, 1), "got nan to nan"),
    ],
)
def test_a_vector_that_is_not_probabilities_is_rejected(probabilities: Vector, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        decide(rule(), DecisionState(), probabilities, 0)


def test_frames_out_of_order_are_rejected() -> None:
    state, _ = decide(rule(), DecisionState(), CAT, 5)
    decide(rule(), state, CAT, 5)
    with pytest.raises(InputError, match="expected frames in chronological order, got 4 ns after 5 ns"):
        decide(rule(), state, CAT, 4)


def test_thresholds_of_an_unknown_class_are_rejected() -> None:
    with pytest.raises(UnknownName, match="unknown class with thresholds 'cst': did you mean 'cat'"):
        rule(classes={"cst": {"enter_score": 0.5}})
    made = rule(enter_score=0.5, classes={"fox": {"enter_score": 0.8, "leave_score": 0.2}})
    np.testing.assert_allclose(made.enter, [0.5, 0.5, 0.8])
    np.testing.assert_allclose(made.leave, [0.35, 0.35, 0.2])


# Settings


def test_options_override_the_card_and_the_card_overrides_the_defaults() -> None:
    recorded = DecisionSettings(
        enter_score=0.8,
        leave_score=0.7,
        min_margin=0.1,
        classes={"cat": {"enter_score": 0.9}},  # type: ignore[dict-item]
    )
    assert decision_settings(None, {}) == DecisionSettings()
    assert decision_settings(recorded, {"hold_s": 2.0}) == recorded.model_copy(update={"hold_s": 2.0})
    assert decision_settings(recorded, {"enter_score": 0.3}) == DecisionSettings(enter_score=0.3, min_margin=0.1)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"color": 1}, "color: Extra inputs are not permitted"),
        ({"enter_score": 1.5}, "enter_score: .* less than or equal to 1"),
        ({"enter_score": 0.3, "leave_score": 0.4}, "leave_score 0.4 is above enter_score 0.3"),
        ({"classes": {"cat": {"enter_score": 0.3, "leave_score": 0.4}}}, "classes.cat: .*leave_score 0.4 is above"),
        ({"hold_s": math.inf}, "hold_s: .*finite"),
    ],
)
def test_invalid_settings_are_rejected_in_one_line(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        decision_settings(None, given)
    assert "\n" not in str(caught.value)


def test_a_card_stores_settings_and_a_card_without_them_is_valid() -> None:
    card = pixel_card(1, 1)
    settings = DecisionSettings(classes={"cat": {"enter_score": 0.9}})  # type: ignore[dict-item]
    with_settings = card.model_copy(update={"decision": settings})
    assert card_from_json(with_settings.model_dump_json().encode(), "m.tflite").decision == settings
    older = {key: value for key, value in json.loads(card.model_dump_json()).items() if key != "decision"}
    assert card_from_json(json.dumps(older).encode(), "m.tflite") == card
    with pytest.raises(ValidationError):
        settings.hold_s = 1.0


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("none", {"smoothing": "none"}),
        ("majority", {"smoothing": "majority"}),
        ("majority:2", {"smoothing": "majority", "window_s": 2.0}),
        ("exponential: 0.5", {"smoothing": "exponential", "half_life_s": 0.5}),
    ],
)
def test_smoothing_is_parsed(text: str, fields: dict[str, Any]) -> None:
    assert parse_smoothing(text) == fields
    decision_settings(None, fields)


def test_unknown_is_parsed() -> None:
    fields = parse_unknown("score=0.6, margin=0.1,entropy=0.8")
    assert fields == {"enter_score": 0.6, "min_margin": 0.1, "max_entropy": 0.8}


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_smoothing, "exponental", "did you mean 'exponential'"),
        (parse_smoothing, "none:1", "expected smoothing none without a time"),
        (parse_smoothing, "majority:", "expected majority as a number in seconds, such as 0.5, got ''"),
        (parse_unknown, "energy=-5", "which needs logits, but the model outputs probabilities; use entropy"),
        (parse_unknown, "", "unknown measure of unknown ''"),
        (parse_unknown, "score", "expected score as a number of 0 to 1"),
    ],
)
def test_options_that_cannot_be_parsed_are_rejected_in_one_line(parse: Any, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_an_event_has_a_json_record() -> None:
    settings = rule(smoothing="none", enter_after_s=0)
    state, decisions = run(settings, [(CAT, 0)])
    (left,) = finish(settings, state, 1_234_567_890)[1]
    assert event_record(events(decisions)[0], "camera 0", 12.5)["duration_s"] is None
    assert json.loads(json.dumps(event_record(left, "camera 0", 12.5))) == {
        "event": "left",
        "source": "camera 0",
        "at": 12.5,
        "label": "cat",
        "index": 0,
        "score": 0.9,
        "duration_s": 1.235,
    }
