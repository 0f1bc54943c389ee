"""What the columns of a table of labels are called."""

from __future__ import annotations

from typing import NamedTuple

SPLIT_COLUMN = "split"


class Columns(NamedTuple):
    """The columns to read. Where `split` is None, `SPLIT_COLUMN` is taken if there is one."""

    path: str = "path"
    label: str = "label"
    split: str | None = None
