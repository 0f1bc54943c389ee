"""Precisions of model files."""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
"""Precision of a model file.

`dynamic` has int8 weights and float activations; `int16x8` has int8 weights and int16 activations.
"""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)
