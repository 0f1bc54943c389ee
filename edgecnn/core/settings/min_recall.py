"""The value of `--min-recall`: a minimum recall for one class."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgecnn.core.errors import InputError

_EXPECTED = "expected a class and a recall above 0 and up to 1, such as pneumonia=0.98"


class MinRecall(BaseModel):
    """Minimum share of a class's photos that must be recognized, at the price of false alarms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1)
    recall: float = Field(gt=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Accept `CLASS=RECALL`, which recipes write like the command line. The name of a class may contain "="."""
        if not isinstance(value, str):
            return value
        label, sign, recall = value.rpartition("=")
        if not sign:
            raise ValueError(_EXPECTED)
        return {"label": label.strip(), "recall": recall}


def parse_min_recall(text: str) -> MinRecall:
    """Parse the value of `--min-recall`.

    Args:
        text: `CLASS=RECALL`.

    Returns:
        The class and its minimum recall.

    Raises:
        InputError: There is no class, or no recall above 0 and up to 1.
    """
    try:
        return MinRecall.model_validate(text)
    except ValidationError:
        raise InputError(f"{_EXPECTED}, got {text!r}") from None
