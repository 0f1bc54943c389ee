"""What chance decides about one variant of a photo: named scalars, drawn in one go."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from edgecnn.training.keras import tf

Draws = TypeVar("Draws", bound=NamedTuple)


def draw_uniform(kind: type[Draws], seed: Any) -> Draws:
    """A scalar tensor in 0..1 for every field of `kind`; the same `seed` (two int64) gives the same ones."""
    return kind(*tf.unstack(tf.random.stateless_uniform([len(kind._fields)], seed)))


def to_symmetric(draw: Any) -> Any:
    """From 0..1 to -1..1."""
    return 2 * draw - 1
