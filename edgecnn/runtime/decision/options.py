"""The options `--smooth` and `--unknown`, and how they combine with the model card and the defaults."""

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
    """Merge the user's settings over those of the model card, and these over the defaults.

    Args:
        recorded: Settings in the model card; None if it has none.
        given: Fields of `DecisionSettings` that the user set. An `enter_score` for all classes also discards the
            card's `classes` and `leave_score`.

    Returns:
        The merged settings.

    Raises:
        InputError: A field is unknown or out of range, or two fields contradict each other.
    """
    base = {} if recorded is None else recorded.model_dump(exclude_unset=True)
    if "enter_score" in given:
        # Thresholds that were tuned together are replaced together.
        base = {key: value for key, value in base.items() if key not in ("classes", "leave_score")}
    try:
        return DecisionSettings.model_validate({**base, **given})
    except ValidationError as error:
        raise InputError(f"the decision settings are invalid: {first_problem(error)}") from None


def parse_smoothing(text: str) -> dict[str, Any]:
    """Parse the value of `--smooth`.

    Args:
        text: `none`, `exponential[:HALF_LIFE_S]` or `majority[:WINDOW_S]`.

    Returns:
        Fields of `DecisionSettings`.

    Raises:
        InputError: The name is unknown, or the time is not a number.
    """
    name, colon, seconds = (part.strip() for part in text.partition(":"))
    if name not in get_args(Smoothing):
        raise UnknownName("smoothing", name, get_args(Smoothing))
    if not colon:
        return {"smoothing": name}
    if name not in _DURATIONS:
        raise InputError(f"expected smoothing none without a time, got {text!r}; remove {seconds!r}")
    return {"smoothing": name, _DURATIONS[name]: _parse_number(name, seconds, "in seconds, such as 0.5")}


def parse_unknown(text: str) -> dict[str, Any]:
    """Parse the value of `--unknown`.

    Args:
        text: One or more of `score=MIN`, `margin=MIN` and `entropy=MAX`, separated by commas.

    Returns:
        Fields of `DecisionSettings`.

    Raises:
        InputError: A measure is unknown, or its value is not a number. The message for `energy` and `logit` says that
            probabilities do not provide them (the docstring of `observation` explains why).
    """
    fields: dict[str, Any] = {}
    for item in text.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if name in ("energy", "logit"):
            raise InputError(
                f"expected unknown by {', '.join(_UNKNOWN_FIELDS)}, got {name!r}, which needs logits, but "
                "the model outputs probabilities; use entropy, such as entropy=0.5"
            )
        if name not in _UNKNOWN_FIELDS:
            raise UnknownName("measure of unknown", name, _UNKNOWN_FIELDS)
        fields[_UNKNOWN_FIELDS[name]] = _parse_number(name, value, "of 0 to 1, such as 0.5")
    return fields


def rule_from_options(
    card: ModelCard | None, labels: LabelMap, smooth: str | None, unknown: str | None
) -> DecisionRule | None:
    """Return the decision rule that the options and the model card define.

    Args:
        card: Model card; None for a file without one.
        labels: Labels of the model.
        smooth: Value of `--smooth`; None if it was not given.
        unknown: Value of `--unknown`; None if it was not given.

    Returns:
        The rule, or None if neither the options nor the card ask for decisions over time.

    Raises:
        InputError: An option cannot be parsed, or the settings are invalid.
    """
    recorded = card.decision if card else None
    given = {**(parse_smoothing(smooth) if smooth else {}), **(parse_unknown(unknown) if unknown else {})}
    if recorded is None and not given:
        return None
    return decision_rule(decision_settings(recorded, given), labels, threshold_of(card))


def _parse_number(name: str, value: str, meaning: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"expected {name} as a number {meaning}, got {value!r}") from None
