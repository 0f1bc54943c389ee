"""The base of every model of a JSON format."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A JSON object. Keys that a newer edgecnn added are kept, so that its reports can be passed on intact.

    `docs/generate_formats.py` turns the attribute docstrings of records into `docs/formats.md`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    def to_json(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return the object as plain JSON values, keys in the order of the fields.

        Args:
            without: Top-level keys to leave out.

        Returns:
            Dictionaries, lists, strings, numbers, booleans and None.
        """
        return self.model_dump(mode="json", exclude=set(without))
