"""What every stage's settings have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of the stages' settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def default(cls, field: str) -> Any:
        """The default of a field, for the option that sets it."""
        return cls.model_fields[field].get_default(call_default_factory=True)
