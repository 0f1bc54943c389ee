"""What `--smooth` and `--unknown` take, and how options, the model card and the defaults add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from edgecnn.core.errors import InputError, UnknownName, first_problem
from edgecnn.core.labels import LabelMap
from edgecnn.core.model_file.card import ModelCard
from edgecnn.core.settings.decision import DecisionSettings, Smoothing
from edgecnn.runtime.decision.rule import DecisionRule, decision_rule
from edgecnn.runtime.inference.threshold import threshold_of

_DURATIONS = {"exponential": "half_life_s", "majority": "window_s"}
_UNKNOWN_FIELDS = {"score": "enter_score", "margin": "min_margin", "entropy": "max_entropy"}


def decision_settings(recorded: DecisionSettings | None, given: Mapping[str, object]) -> DecisionSettings:
    """The fields in `given`, over those that the model card has `recorded`, over the defaults. Raises `InputError`.

    Where `given` sets a score for all classes and no `classes`, those of the card no longer count.
    """
    base = {} if recorded is None else recorded.model_dump(exclude_unset=True)
    if "enter_score" in given:
        # Thresholds that were tuned together are replaced together.
        base = {key: value for key, value in base.items() if key not in ("classes", "leave_score")}
    try:
        return DecisionSettings.model_validate({**base, **given})
    except ValidationError as error:
        raise InputError(f"the decision settings do not hold: {first_problem(error)}") from None


def parse_smoothing(text: str) -> dict[str, Any]:
    """Reads `none`, `exponential[:HALF_LIFE_S]` or `majority[:WINDOW_S]` into fields of `DecisionSettings`.

    Raises `InputError`.
    """
    name, colon, seconds = (part.strip() for part in text.partition(":"))
    if name not in get_args(Smoothing):
        raise UnknownName("smoothing", name, get_args(Smoothing))
    if not colon:
        return {"smoothing": name}
    if name not in _DURATIONS:
        raise InputError(f"expected smoothing none without a time, got {text!r}; leave {seconds!r} out")
    return {"smoothing": name, _DURATIONS[name]: _number(name, seconds, "in seconds, such as 0.5")}


def parse_unknown(text: str) -> dict[str, Any]:
    """Reads `score=MIN`, `margin=MIN` and `entropy=MAX`, one or more with "," between, into fields of
    `DecisionSettings`.

    Raises `InputError`; for `energy` with the reason why probabilities have none (see `judging`).
    """
    fields: dict[str, Any] = {}
    for word in text.split(","):
        name, _, value = (part.strip() for part in word.partition("="))
        if name in ("energy", "logit"):
            raise InputError(
                f"expected unknown by {', '.join(_UNKNOWN_FIELDS)}, got {name!r}, which needs logits and "
                "the model gives probabilities; use entropy, such as entropy=0.5"
            )
        if name not in _UNKNOWN_FIELDS:
            raise UnknownName("measure of unknown", name, _UNKNOWN_FIELDS)
        fields[_UNKNOWN_FIELDS[name]] = _number(name, value, "of 0 to 1, such as 0.5")
    return fields


def rule_from_options(
    card: ModelCard | None, labels: LabelMap, smooth: str | None, unknown: str | None
) -> DecisionRule | None:
    """The rule that options and model card ask for; None where neither speaks of decisions over time.

    Raises `InputError`.
    """
    recorded = card.decision if card else None
    given = {**(parse_smoothing(smooth) if smooth else {}), **(parse_unknown(unknown) if unknown else {})}
    if recorded is None and not given:
        return None
    return decision_rule(decision_settings(recorded, given), labels, threshold_of(card))


def _number(name: str, value: str, what: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"expected {name} as a number {what}, got {value!r}") from None
