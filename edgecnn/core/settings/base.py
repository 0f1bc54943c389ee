"""The base class of all settings."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base class of the settings of stages: frozen, and an unknown key is an error.

    The attribute docstring of a field becomes its `description`, which the command line shows as the help of the option
    that sets the field. Write it as one line that starts with what the option sets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def default(cls, field: str) -> Any:
        """Return the default value of a field, for the option that sets it."""
        return cls.model_fields[field].get_default(call_default_factory=True)
