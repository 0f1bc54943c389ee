"""The one door to TensorFlow: everything in `edgecnn.training` imports `tf` and `keras` from here.

Keras 2 (`tf_keras`) is what `tensorflow-model-optimization` works on. TensorFlow chooses its Keras once in a process,
by an environment variable that the package sets.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from edgecnn.core.errors import EdgecnnError, MissingDependency
from edgecnn.runtime.inference.native_output import native_output_hidden

__all__ = ["keras", "tf"]


@contextmanager
def _never_garbage() -> Iterator[None]:
    """What is made in here stays until the end, so that Python need not look through it for garbage again and again."""
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if collects:
            gc.enable()


try:
    with native_output_hidden(), _never_garbage():
        import tensorflow as tf
        import tf_keras as keras
except ImportError as error:
    raise MissingDependency(
        f"training needs TensorFlow, which is not installed: pip install 'edgecnn[train]' ({error})"
    ) from None

if tf.keras.Model is not keras.Model:
    raise EdgecnnError(
        "expected TensorFlow to use Keras 2, but this process has loaded it with another Keras; "
        "set TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, or import edgecnn.training.keras first"
    )

# Dropout then draws from generators whose state can be saved, so that training can be taken up again as it would have
# gone on.
keras.backend.experimental.enable_tf_random_generator()

# Its warnings are about its own history; what a user can act on, edgecnn says itself.
tf.get_logger().setLevel("ERROR")
