"""The random numbers of one variant of a photo: named scalars, drawn with one operation."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from edgecnn.training.keras import tf

Draws = TypeVar("Draws", bound=NamedTuple)


def draw_uniform(kind: type[Draws], seed: Any) -> Draws:
    """Draw a number for every field of a named tuple.

    Args:
        kind: Named tuple of scalar tensors.
        seed: Two int64; the same seed gives the same numbers.

    Returns:
        A `kind` of float32 scalars, uniform in 0..1.
    """
    return kind(*tf.unstack(tf.random.stateless_uniform([len(kind._fields)], seed)))


def to_symmetric(draw: Any) -> Any:
    """Map 0..1 to -1..1.

    Args:
        draw: Scalar tensor in 0..1.

    Returns:
        Scalar tensor in -1..1.
    """
    return 2 * draw - 1
