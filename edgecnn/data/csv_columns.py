"""Names of the columns of a table of labels.

They have their own module because the command line takes its defaults from here and must not import OpenCV for
`--help`.
"""

from __future__ import annotations

from typing import NamedTuple

SPLIT_COLUMN = "split"
"""Column of the splits if no other is named and the table has this one."""


class Columns(NamedTuple):
    """The columns of a CSV file to read.

    Attributes:
        path: Column with the photos' paths, relative to the file.
        label: Column with their labels.
        split: Column with `train`, `validation` or `test`; None to use `SPLIT_COLUMN` if the table has one.
    """

    path: str = "path"
    label: str = "label"
    split: str | None = None
