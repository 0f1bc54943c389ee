"""Decisions over time: stable classes instead of flickering ones, and events when they change."""

from edgecnn.runtime.decision.hysteresis import Event, event_record
from edgecnn.runtime.decision.observation import UNKNOWN, UNKNOWN_LABEL
from edgecnn.runtime.decision.options import decision_settings, parse_smoothing, parse_unknown, rule_from_options
from edgecnn.runtime.decision.rule import DecisionRule, decision_rule
from edgecnn.runtime.decision.step import Decision, DecisionState, decide, finish

__all__ = [
    "UNKNOWN",
    "UNKNOWN_LABEL",
    "Decision",
    "DecisionRule",
    "DecisionState",
    "Event",
    "decide",
    "decision_rule",
    "decision_settings",
    "event_record",
    "finish",
    "parse_smoothing",
    "parse_unknown",
    "rule_from_options",
]
